#include "worker/tools/json_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace dormouse::worker {
namespace json = boost::json;

Result<MappedFile> open_text(const std::string& path) {
  TRY(MappedFile file, MappedFile::open(path));
  if (file.bytes().size() > kJsonBytesMax) {
    return make_error(Code::kTooLarge,
                      fmt::format("{}: {} bytes, want at most {}", path, file.bytes().size(), kJsonBytesMax));
  }
  return file;
}

std::string_view text_of(const MappedFile& file) {
  // reinterpret_cast from std::uint8_t to char: both may alias anything.
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

bool is_printable(std::string_view text) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; };
  return !text.empty() && std::none_of(text.begin(), text.end(), is_control);
}

Error JsonFields::wrong(std::string_view key, std::string_view want, Code code) const {
  return make_error(code, fmt::format("{}{}: want {}", where_, key, want));
}

const json::value* JsonFields::find(std::string_view key) const {
  const json::value* value = object_->if_contains(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

bool JsonFields::has(std::string_view key) const {
  return find(key) != nullptr;
}

Result<const json::value*> JsonFields::need(std::string_view key) const {
  const json::value* value = find(key);
  if (value == nullptr) return make_error(Code::kNotFound, fmt::format("{}{} is missing", where_, key));
  return value;
}

Result<std::uint64_t> JsonFields::get_uint(std::string_view key, std::uint64_t min, std::uint64_t max) const {
  TRY(const json::value* value, need(key));
  json::error_code ec;
  // Takes 128 and 128.0, which some writers make of integers; refuses 128.5 and -1.
  const auto number = value->is_number() ? value->to_number<std::uint64_t>(ec) : 0;
  if (!value->is_number() || ec || number < min || number > max) {
    return wrong(key, fmt::format("an integer from {} to {}", min, max));
  }
  return number;
}

Result<double> JsonFields::get_number(std::string_view key, double min, double max) const {
  TRY(const json::value* value, need(key));
  json::error_code ec;
  const double number = value->is_number() ? value->to_number<double>(ec) : 0;
  // Written so that a NaN fails.
  if (!value->is_number() || ec || !(number >= min && number <= max)) {
    return wrong(key, fmt::format("a number from {} to {}", min, max));
  }
  return number;
}

Result<bool> JsonFields::get_bool(std::string_view key) const {
  TRY(const json::value* value, need(key));
  if (!value->is_bool()) return wrong(key, "true or false");
  return value->get_bool();
}

Result<bool> JsonFields::get_bool_or(std::string_view key, bool value) const {
  return has(key) ? get_bool(key) : value;
}

Result<std::string_view> JsonFields::get_string(std::string_view key) const {
  TRY(const json::value* value, need(key));
  if (!value->is_string()) return wrong(key, "a string");
  return std::string_view(value->get_string());
}

Result<JsonFields> JsonFields::get_object(std::string_view key) const {
  TRY(const json::value* value, need(key));
  if (!value->is_object()) return wrong(key, "an object");
  return JsonFields(fmt::format("{}{}.", where_, key), value->get_object());
}

Result<const json::array*> JsonFields::get_array(std::string_view key) const {
  TRY(const json::value* value, need(key));
  if (!value->is_array()) return wrong(key, "an array");
  return &value->get_array();
}

Result<JsonFile> JsonFile::open(const std::string& path) {
  TRY(const MappedFile file, open_text(path));
  return parse(path, text_of(file));
}

Result<JsonFile> JsonFile::parse(std::string name, std::string_view text) {
  json::error_code ec;
  json::value value = json::parse(text, ec);
  if (ec) return make_error(Code::kDataLoss, fmt::format("{}: not valid JSON: {}", name, ec.message()));
  if (!value.is_object()) return make_error(Code::kDataLoss, name + ": want a JSON object");
  return JsonFile(std::move(name), std::make_unique<const json::value>(std::move(value)));
}

}  // namespace dormouse::worker
