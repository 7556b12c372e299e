#include "gateway/exposure/forwarded.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

namespace dormouse::gateway {
namespace {

// Proxies of one operator in a row; who needs more has written a loop. Further ones are not looked at.
constexpr std::size_t kMaxHops = 32;

struct Hop {
  std::string node;  // "for", unquoted
  std::string proto;
};

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool is_token_char(char c) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         kMarks.find(c) != std::string_view::npos;
}

bool is_trusted(const IpAddress& address, const std::vector<IpNetwork>& trusted) {
  return std::any_of(trusted.begin(), trusted.end(),
                     [&](const IpNetwork& network) { return network.contains(address); });
}

// RFC 7239: forwarded-element = [ pair ] *( ";" [ pair ] ), pair = token "=" ( token / quoted-string ).
class ForwardedScanner {
 public:
  explicit ForwardedScanner(std::string_view text) : rest_(text) {}

  // False: the grammar is broken.
  bool read(std::vector<Hop>& hops) {
    while (true) {
      Hop hop;
      if (!read_element(hop)) return false;
      hops.push_back(std::move(hop));
      if (rest_.empty()) return true;
      rest_.remove_prefix(1);  // the comma
    }
  }

 private:
  bool read_element(Hop& hop) {
    while (true) {
      rest_ = trim(rest_);
      if (!rest_.empty() && is_token_char(rest_.front()) && !read_pair(hop)) return false;
      rest_ = trim(rest_);
      if (rest_.empty() || rest_.front() == ',') return true;
      if (rest_.front() != ';') return false;
      rest_.remove_prefix(1);
    }
  }

  bool read_pair(Hop& hop) {
    const std::string_view name = take_token();
    if (!rest_.starts_with('=')) return false;
    rest_.remove_prefix(1);
    std::string value;
    if (rest_.starts_with('"')) {
      if (!take_quoted(value)) return false;
    } else {
      value = take_token();
      if (value.empty()) return false;
    }
    std::string* const wanted = http::equals_ignoring_case(name, "for")     ? &hop.node
                                : http::equals_ignoring_case(name, "proto") ? &hop.proto
                                                                            : nullptr;
    if (wanted == nullptr) return true;
    if (!wanted->empty()) return false;  // each at most once
    *wanted = std::move(value);
    return true;
  }

  std::string_view take_token() {
    std::size_t size = 0;
    while (size < rest_.size() && is_token_char(rest_[size])) ++size;
    const std::string_view token = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return token;
  }

  bool take_quoted(std::string& out) {
    for (std::size_t i = 1; i < rest_.size(); ++i) {
      if (rest_[i] == '"') {
        rest_.remove_prefix(i + 1);
        return true;
      }
      if (rest_[i] == '\\' && ++i == rest_.size()) return false;
      out += rest_[i];
    }
    return false;
  }

  std::string_view rest_;
};

std::vector<Hop> read_forwarded_for(const http::Headers& headers) {
  std::vector<Hop> hops;
  for (const auto& [name, value] : headers.all()) {
    if (!http::equals_ignoring_case(name, "x-forwarded-for")) continue;
    std::string_view rest = value;
    while (true) {
      const std::size_t comma = rest.find(',');
      hops.push_back({std::string(trim(rest.substr(0, comma))), {}});
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
  }
  return hops;
}

// Each line by itself: a quote somebody left open cannot swallow the line a proxy added.
std::optional<std::vector<Hop>> read_forwarded(const http::Headers& headers) {
  std::vector<Hop> hops;
  for (const auto& [name, value] : headers.all()) {
    if (!http::equals_ignoring_case(name, "forwarded")) continue;
    if (!ForwardedScanner(value).read(hops)) return std::nullopt;
  }
  return hops;
}

// What the last proxy said: the others' words stand before it.
bool says_https(const http::Headers& headers) {
  std::string_view last;
  for (const auto& [name, value] : headers.all()) {
    if (http::equals_ignoring_case(name, "x-forwarded-proto")) last = value;
  }
  const std::size_t comma = last.rfind(',');
  if (comma != std::string_view::npos) last.remove_prefix(comma + 1);
  return http::equals_ignoring_case(trim(last), "https");
}

ForwardedClient walk(const IpAddress& peer, const std::vector<Hop>& hops, const std::vector<IpNetwork>& trusted) {
  ForwardedClient client{.address = peer, .is_https = false};
  const std::size_t count = std::min(hops.size(), kMaxHops);
  for (std::size_t i = 0; i < count && is_trusted(client.address, trusted); ++i) {
    const Hop& hop = hops[hops.size() - 1 - i];
    client.is_https = http::equals_ignoring_case(hop.proto, "https");
    const std::optional<IpAddress> named = IpAddress::parse_with_port(hop.node);
    if (!named.has_value()) break;
    client.address = *named;
  }
  return client;
}

}  // namespace

Result<ForwardedClient> find_client(const IpAddress& peer, const http::Headers& headers,
                                    const std::vector<IpNetwork>& trusted) {
  if (!is_trusted(peer, trusted)) return ForwardedClient{.address = peer, .is_https = false};
  const std::vector<Hop> plain = read_forwarded_for(headers);
  const std::optional<std::vector<Hop>> standard = read_forwarded(headers);
  if (!standard.has_value()) return make_error(Code::kInvalidArgument, "Forwarded: not as RFC 7239 has it");
  ForwardedClient by_plain = walk(peer, plain, trusted);
  by_plain.is_https = says_https(headers);
  if (standard->empty()) return by_plain;
  ForwardedClient by_standard = walk(peer, *standard, trusted);
  by_standard.is_https = by_standard.is_https || by_plain.is_https;
  if (!plain.empty() && !(by_plain.address == by_standard.address)) {
    return make_error(Code::kInvalidArgument, "Forwarded and X-Forwarded-For name two clients");
  }
  return by_standard;
}

}  // namespace dormouse::gateway
