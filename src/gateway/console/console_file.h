// A file of the console as it lies in the program. Plain values: views of what lives as long as the process.
#pragma once

#include <string_view>

namespace dormouse::gateway {

struct ConsoleFile {
  std::string_view path;   // below /console/: "index.html", "assets/app-3f9c.js"
  std::string_view type;   // content-type
  std::string_view hash;   // of `plain`, hex
  std::string_view plain;  // as it is, and as gzip: of a few hundred kilobytes both cost less than a library to inflate
  std::string_view gzip;
};

}  // namespace dormouse::gateway
