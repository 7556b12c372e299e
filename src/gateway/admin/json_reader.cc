#include "gateway/admin/json_reader.h"

#include "api/fields.h"

namespace dormouse::gateway {

namespace json = boost::json;

std::string JsonReader::text(std::string_view key) const {
  const json::value* v = api::find_member(object_, key);
  return v != nullptr && v->is_string() ? std::string(v->get_string()) : std::string();
}

std::int64_t JsonReader::whole(std::string_view key) const {
  const json::value* v = api::find_member(object_, key);
  return v != nullptr ? api::as_integer(*v).value_or(0) : 0;
}

std::optional<double> JsonReader::maybe_number(std::string_view key) const {
  const json::value* v = api::find_member(object_, key);
  return v != nullptr ? api::as_number(*v) : std::nullopt;
}

bool JsonReader::truth(std::string_view key) const {
  const json::value* v = api::find_member(object_, key);
  return v != nullptr && v->is_bool() && v->get_bool();
}

const json::object* JsonReader::object(std::string_view key) const {
  const json::value* v = api::find_member(object_, key);
  return v != nullptr && v->is_object() ? &v->get_object() : nullptr;
}

std::vector<const json::object*> JsonReader::objects(std::string_view key) const {
  std::vector<const json::object*> out;
  const json::value* v = api::find_member(object_, key);
  if (v == nullptr || !v->is_array()) return out;
  for (const json::value& item : v->get_array()) {
    if (item.is_object()) out.push_back(&item.get_object());
  }
  return out;
}

std::vector<std::string> JsonReader::texts(std::string_view key) const {
  std::vector<std::string> out;
  const json::value* v = api::find_member(object_, key);
  if (v == nullptr || !v->is_array()) return out;
  for (const json::value& item : v->get_array()) {
    if (item.is_string()) out.emplace_back(item.get_string());
  }
  return out;
}

Result<json::value> parse_json_object(std::string_view text) {
  boost::system::error_code ec;
  json::value root = json::parse({text.data(), text.size()}, ec);
  if (ec || !root.is_object()) return make_error(Code::kDataLoss, "the server's answer is no JSON object");
  return root;
}

}  // namespace dormouse::gateway
