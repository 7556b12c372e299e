// Writes safetensors and the folders they come in. Test code only: shares nothing with the reader.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace dormouse::worker {

struct FixtureTensor {
  std::string name;
  std::string dtype;
  std::vector<std::uint64_t> shape;  // outermost first
  std::string bytes;
};

// header: the JSON; its length goes before it, `data` behind it.
inline std::string frame_safetensors(const std::string& header, const std::string& data) {
  const std::uint64_t size = header.size();
  std::string out(sizeof size, '\0');
  std::memcpy(out.data(), &size, sizeof size);
  return out + header + data;
}

inline std::string make_safetensors(const std::vector<FixtureTensor>& tensors) {
  std::vector<std::string> entries{R"("__metadata__":{"format":"pt"})"};
  std::string data;
  for (const FixtureTensor& tensor : tensors) {
    entries.push_back(fmt::format(R"("{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", tensor.name,
                                  tensor.dtype, fmt::join(tensor.shape, ","), data.size(),
                                  data.size() + tensor.bytes.size()));
    data += tensor.bytes;
  }
  std::string header = fmt::format("{{{}}}", fmt::join(entries, ","));
  header.resize((header.size() + 7) / 8 * 8, ' ');  // as the reference writer pads
  return frame_safetensors(header, data);
}

inline std::string bytes_of_floats(const std::vector<float>& floats) {
  std::string out(floats.size() * sizeof(float), '\0');
  std::memcpy(out.data(), floats.data(), out.size());
  return out;
}

inline void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

}  // namespace dormouse::worker
