#include "fleet/drivers/template_text.h"

#include <fmt/format.h>

namespace dormouse::fleet {
namespace {

// Calls literal(text) and name(text) in order; false: a brace is left open.
template <typename Literal, typename Name>
bool scan(std::string_view text, const Literal& literal, const Name& name) {
  while (!text.empty()) {
    const std::size_t open = text.find('{');
    literal(text.substr(0, open));
    if (open == std::string_view::npos) return true;
    text.remove_prefix(open + 1);
    if (text.starts_with('{')) {
      literal("{");
      text.remove_prefix(1);
      continue;
    }
    const std::size_t close = text.find('}');
    if (close == std::string_view::npos) return false;
    name(text.substr(0, close));
    text.remove_prefix(close + 1);
  }
  return true;
}

}  // namespace

Result<std::set<std::string>> placeholders_of(std::string_view text, const std::set<std::string>& known) {
  std::set<std::string> out;
  const bool closed = scan(
      text, [](std::string_view) {}, [&out](std::string_view name) { out.emplace(name); });
  if (!closed) {
    return make_error(Code::kInvalidArgument,
                      fmt::format("'{}': a '{{' without its '}}'; write '{{{{' for a brace", text));
  }
  for (const std::string& name : out) {
    if (known.contains(name)) continue;
    std::string names;
    for (const std::string& each : known) names += " {" + each + "}";
    return make_error(Code::kInvalidArgument,
                      fmt::format("'{}': placeholder {{{}}} is unknown here; there are:{}", text, name, names));
  }
  return out;
}

std::string filled(std::string_view text, const std::map<std::string, std::string>& values) {
  std::string out;
  scan(
      text, [&out](std::string_view literal) { out += literal; },
      [&out, &values](std::string_view name) {
        const auto found = values.find(std::string(name));
        if (found != values.end()) out += found->second;
      });
  return out;
}

}  // namespace dormouse::fleet
