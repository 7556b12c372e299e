#include "gateway/console/console_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

namespace dormouse::gateway {
namespace {

constexpr std::string_view kIndex = "index.html";
// Names there carry a hash of what is in them.
constexpr std::string_view kAssets = "assets/";
constexpr std::string_view kForever = "public, max-age=31536000, immutable";
constexpr std::string_view kAskAgain = "no-cache";

constexpr std::pair<std::string_view, std::string_view> kHeaders[] = {
    {"content-security-policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
     "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"},
    {"x-content-type-options", "nosniff"},
    {"referrer-policy", "no-referrer"},
    {"permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"},
    {"cross-origin-opener-policy", "same-origin"},
    {"cross-origin-resource-policy", "same-origin"},
};

constexpr std::string_view kNoSuchPage = R"(<!doctype html>
<html lang="en"><meta charset="utf-8"><title>404 · Dormouse</title>
<h1>404</h1>
<p>There is no such page. <a href="/console/">To the console</a></p>
<p lang="zh-CN">没有这个页面。<a href="/console/">回到控制台</a></p>
</html>
)";

std::string_view without_spaces(std::string_view text) {
  while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
  while (text.ends_with(' ') || text.ends_with('\t')) text.remove_suffix(1);
  return text;
}

// The next item of a list, taken off it.
std::string_view take_item(std::string_view& list, char separator) {
  const std::string_view item = list.substr(0, list.find(separator));
  list.remove_prefix(std::min(list.size(), item.size() + 1));
  return without_spaces(item);
}

// "q=0", "q=0.0", "q=0.000": not acceptable.
bool is_refused(std::string_view parameters) {
  while (!parameters.empty()) {
    const std::string_view parameter = take_item(parameters, ';');
    if (!parameter.starts_with("q=") && !parameter.starts_with("Q=")) continue;
    return parameter.size() > 2 && parameter.find_first_not_of("0.", 2) == std::string_view::npos;
  }
  return false;
}

// Weak comparison, as RFC 9110 has it for If-None-Match.
bool matches(std::string_view if_none_match, std::string_view etag) {
  while (!if_none_match.empty()) {
    std::string_view item = take_item(if_none_match, ',');
    if (item.starts_with("W/")) item.remove_prefix(2);
    if (item == "*" || item == etag) return true;
  }
  return false;
}

void add_headers(http::Headers& headers) {
  for (const auto& [name, value] : kHeaders) headers.set(name, value);
}

http::Response no_such_page() {
  http::Response out;
  out.status = 404;
  out.body = kNoSuchPage;
  out.headers.set("content-type", "text/html; charset=utf-8");
  out.headers.set("cache-control", kAskAgain);
  return out;
}

Task<void> reply_redirect(Call& call) {
  http::Response response;
  response.status = 308;
  response.headers.set("location", "/console/");
  response.headers.set("content-type", "text/plain; charset=utf-8");
  add_headers(response.headers);
  return reply(call, std::move(response));
}

}  // namespace

bool accepts_gzip(std::string_view accept_encoding) {
  bool any = false;
  while (!accept_encoding.empty()) {
    std::string_view item = take_item(accept_encoding, ',');
    const std::string_view coding = take_item(item, ';');
    if (http::equals_ignoring_case(coding, "gzip")) return !is_refused(item);
    if (coding == "*") any = !is_refused(item);
  }
  return any;
}

void ConsolePage::add_routes(Router& router) const {
  router.add({"GET", "/console", Access::kConsole, [](Call& c) { return reply_redirect(c); }});
  router.add({"GET", "/console/", Access::kConsole, [this](Call& c) { return reply_file(c, kIndex); }});
  router.add({"GET", "/console/{file}", Access::kConsole, [this](Call& c) { return reply_file(c, c.parameters[0]); }});
  router.add({"GET", "/console/assets/{file}", Access::kConsole,
              [this](Call& c) { return reply_file(c, std::string(kAssets) + c.parameters[0]); }});
}

Task<void> ConsolePage::reply_file(Call& call, std::string_view path) const {
  http::Response response = response_for(call.request(), path);
  add_headers(response.headers);
  return reply(call, std::move(response));
}

http::Response ConsolePage::response_for(const http::Request& request, std::string_view path) const {
  const auto file = std::find_if(files_.begin(), files_.end(), [path](const ConsoleFile& f) { return f.path == path; });
  if (file == files_.end()) return no_such_page();
  const bool as_gzip = accepts_gzip(request.headers.find("accept-encoding").value_or(""));
  const std::string etag = fmt::format("\"{}{}\"", file->hash, as_gzip ? "-gzip" : "");
  http::Response out;
  out.headers.set("content-type", file->type);
  out.headers.set("etag", etag);
  out.headers.set("vary", "accept-encoding");
  out.headers.set("cache-control", path.starts_with(kAssets) ? kForever : kAskAgain);
  if (matches(request.headers.find("if-none-match").value_or(""), etag)) {
    out.status = 304;
    return out;
  }
  if (as_gzip) out.headers.set("content-encoding", "gzip");
  out.body = as_gzip ? file->gzip : file->plain;
  return out;
}

}  // namespace dormouse::gateway
