#include "worker/convert/hf_pooling.h"

#include <fmt/format.h>

#include <filesystem>
#include <string_view>

#include "worker/tools/json_file.h"

namespace dormouse::worker {
namespace {

namespace json = boost::json;

// modules.json is a list; JsonFile wants an object around it.
Result<JsonFile> open_modules(const std::string& path) {
  TRY(const MappedFile file, open_text(path));
  return JsonFile::parse(path, fmt::format(R"({{"modules":{}}})", text_of(file)));
}

// "1_Pooling": a folder in the model's own, never a way out of it.
bool is_folder_name(std::string_view name) {
  return is_printable(name) && !name.starts_with('.') && name.find('/') == std::string_view::npos;
}

Result<HfPooling> read_pooling(const std::string& path) {
  TRY(const JsonFile file, JsonFile::open(path));
  const JsonFields fields = file.root();
  TRY(const bool means, fields.get_bool_or("pooling_mode_mean_tokens", false));
  TRY(const bool last, fields.get_bool_or("pooling_mode_lasttoken", false));
  TRY(const bool first, fields.get_bool_or("pooling_mode_cls_token", false));
  TRY(const bool largest, fields.get_bool_or("pooling_mode_max_tokens", false));
  if (means == last || first || largest) {
    return fields.wrong("pooling_mode_lasttoken", "true, or pooling_mode_mean_tokens, and no other pooling",
                        Code::kInvalidArgument);
  }
  return last ? HfPooling::kLast : HfPooling::kMean;
}

}  // namespace

Result<std::optional<HfPooling>> read_hf_pooling(const std::string& directory) {
  const std::string path = directory + "/modules.json";
  std::error_code ec;
  if (!std::filesystem::exists(path, ec)) return std::optional<HfPooling>();
  TRY(const JsonFile file, open_modules(path));
  TRY(const json::array* modules, file.root().get_array("modules"));
  std::optional<HfPooling> out;
  for (const json::value& module : *modules) {
    if (!module.is_object()) return file.root().wrong("modules", "objects");
    const JsonFields fields(path + ": ", module.get_object());
    TRY(const std::string_view type, fields.get_string("type"));
    if (type.ends_with(".Pooling")) {
      TRY(const std::string_view folder, fields.get_string("path"));
      if (!is_folder_name(folder)) return fields.wrong("path", "a folder beside modules.json");
      TRY(out, read_pooling(fmt::format("{}/{}/config.json", directory, folder)));
    } else if (!type.ends_with(".Transformer") && !type.ends_with(".Normalize")) {
      return fields.wrong("type", fmt::format("Transformer, Pooling or Normalize: {} is not supported", type),
                          Code::kInvalidArgument);
    }
  }
  return out;
}

}  // namespace dormouse::worker
