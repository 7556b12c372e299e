#include "gateway/batches/form_data.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace dormouse::gateway {
namespace {

// RFC 2046: 1 to 70 characters.
constexpr std::size_t kMaxBoundary = 70;
constexpr std::size_t kMaxPartHeader = 4 * 1024;

Error wrong(const char* what) {
  return make_error(Code::kInvalidArgument, std::string("form: ") + what);
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [&](char x, char y) { return lower(x) == lower(y); });
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// NAME=value or NAME="value" of a header's parameters. Quoted text has \" and \\ for a quote and a backslash.
std::optional<std::string> parameter(std::string_view header, std::string_view name) {
  std::size_t at = header.find(';');
  while (at < header.size()) {
    const std::size_t equals = header.find('=', at + 1);
    if (equals == std::string_view::npos) return std::nullopt;
    const std::string_view key = trimmed(header.substr(at + 1, equals - at - 1));
    std::string value;
    at = equals + 1;
    if (at < header.size() && header[at] == '"') {
      for (++at; at < header.size() && header[at] != '"'; ++at) {
        if (header[at] == '\\' && at + 1 < header.size()) ++at;
        value += header[at];
      }
      if (at >= header.size()) return std::nullopt;
      at = header.find(';', at);
    } else {
      const std::size_t end = std::min(header.find(';', at), header.size());
      value = trimmed(header.substr(at, end - at));
      at = end;
    }
    if (equals_ignoring_case(key, name)) return value;
  }
  return std::nullopt;
}

Result<FormPart> read_part(std::string_view text) {
  const std::size_t end = text.substr(0, kMaxPartHeader).find("\r\n\r\n");
  if (end == std::string_view::npos) return wrong("a part's header does not end");
  FormPart out;
  out.content = text.substr(end + 4);
  std::string_view headers = text.substr(0, end);
  std::optional<std::string> name;
  while (!headers.empty()) {
    const std::size_t line_end = std::min(headers.find("\r\n"), headers.size());
    const std::string_view line = headers.substr(0, line_end);
    headers.remove_prefix(std::min(headers.size(), line_end + 2));
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || !equals_ignoring_case(line.substr(0, colon), "content-disposition"))
      continue;
    name = parameter(line, "name");
    out.filename = parameter(line, "filename").value_or("").substr(0, kMaxFormFileName);
  }
  if (!name.has_value()) return wrong("a part has no name");
  out.name = *std::move(name);
  return out;
}

}  // namespace

Result<std::vector<FormPart>> parse_form_data(std::string_view content_type, std::string_view body) {
  const std::string_view type = trimmed(content_type.substr(0, content_type.find(';')));
  if (!equals_ignoring_case(type, "multipart/form-data")) return wrong("multipart/form-data is wanted");
  const std::optional<std::string> boundary = parameter(content_type, "boundary");
  if (!boundary.has_value() || boundary->empty() || boundary->size() > kMaxBoundary) return wrong("no boundary");
  const std::string first = "--" + *boundary;
  const std::string between = "\r\n" + first;
  if (!body.starts_with(first)) return wrong("the body does not begin with the boundary");
  body.remove_prefix(first.size());
  std::vector<FormPart> out;
  while (!body.starts_with("--")) {
    if (!body.starts_with("\r\n")) return wrong("a boundary's line does not end");
    const std::size_t end = body.find(between, 2);
    if (end == std::string_view::npos) return wrong("a part does not end");
    if (out.size() == kMaxFormParts) return wrong("too many parts");
    TRY(FormPart part, read_part(body.substr(2, end - 2)));
    out.push_back(std::move(part));
    body.remove_prefix(end + between.size());
  }
  return out;
}

}  // namespace dormouse::gateway
