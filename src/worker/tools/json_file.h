// JSON documents of a model's folder, read field by field. Every error names the file and the field, and says what is
// wanted there. Nothing is trusted: size and depth have caps, numbers have ranges. Threads: const from any.
#pragma once

#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/mapped_file.h"
#include "base/result.h"

namespace dormouse::worker {

// Qwen3's tokenizer.json is 11 MB. Parsed, a document takes up to ten times its size.
inline constexpr std::size_t kJsonBytesMax = 64U << 20;
// The same cap as an error. `path` names the file. Errors: those of MappedFile, kTooLarge.
[[nodiscard]] Result<MappedFile> open_text(const std::string& path);
[[nodiscard]] std::string_view text_of(const MappedFile& file);  // lives as long as the mapping

// May appear in a log line: not empty, no control characters. That a document's strings are UTF-8 its parser has
// checked.
[[nodiscard]] bool is_printable(std::string_view text);

// One object of a document. A field that is null counts as absent, as it does in these files.
class JsonFields {
 public:
  // where: "config.json: " or "config.json: rope_scaling." Views the document.
  JsonFields(std::string where, const boost::json::object& object) : where_(std::move(where)), object_(&object) {}

  [[nodiscard]] bool has(std::string_view key) const;
  // Absent: kNotFound. Another type or outside [min, max]: kDataLoss.
  [[nodiscard]] Result<std::uint64_t> get_uint(std::string_view key, std::uint64_t min, std::uint64_t max) const;
  [[nodiscard]] Result<double> get_number(std::string_view key, double min, double max) const;
  [[nodiscard]] Result<bool> get_bool(std::string_view key) const;
  [[nodiscard]] Result<std::string_view> get_string(std::string_view key) const;
  [[nodiscard]] Result<JsonFields> get_object(std::string_view key) const;
  [[nodiscard]] Result<const boost::json::array*> get_array(std::string_view key) const;
  // Absent: the value given.
  [[nodiscard]] Result<bool> get_bool_or(std::string_view key, bool value) const;

  [[nodiscard]] const boost::json::value* find(std::string_view key) const;  // null: absent
  [[nodiscard]] const boost::json::object& object() const { return *object_; }
  // "<where><key>: want <want>"
  [[nodiscard]] Error wrong(std::string_view key, std::string_view want, Code code = Code::kDataLoss) const;

 private:
  [[nodiscard]] Result<const boost::json::value*> need(std::string_view key) const;

  std::string where_;
  const boost::json::object* object_;
};

class JsonFile {
 public:
  // Errors: those of open_text; kDataLoss (not JSON, nested deeper than 32, or not an object).
  static Result<JsonFile> open(const std::string& path);
  // name: how errors call it.
  static Result<JsonFile> parse(std::string name, std::string_view text);

  [[nodiscard]] JsonFields root() const { return {name_ + ": ", root_->get_object()}; }
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  JsonFile(std::string name, std::unique_ptr<const boost::json::value> root)
      : name_(std::move(name)), root_(std::move(root)) {}

  std::string name_;
  std::unique_ptr<const boost::json::value> root_;  // an object; where it lies does not change with the JsonFile
};

}  // namespace dormouse::worker
