// Requests and responses as values: no socket, no Beast.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace dormouse::http {

// ASCII letters only, as HTTP compares.
[[nodiscard]] bool equals_ignoring_case(std::string_view a, std::string_view b);

// Header fields in order; names compare without case.
class Headers {
 public:
  [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const;
  void set(std::string_view name, std::string_view value);  // replaces all of that name
  void add(std::string_view name, std::string_view value);
  void remove(std::string_view name);
  [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& all() const { return fields_; }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

struct Request {
  std::string method;  // "GET"
  std::string path;    // normalised once: percent-decoded, no "//", no dot segments; what routes match on
  std::string query;   // without '?', as sent
  Headers headers;
  std::string body;
  std::string peer;  // "127.0.0.1:5312" or "unix"
};

struct Response {
  int status = 200;
  Headers headers;
  std::string body;
};

// How a server over TLS proves itself to us. One of the three is set.
struct TlsTrust {
  std::string fingerprint;  // "sha256:HEX" of its certificate, whoever signed it
  std::string ca_file;      // PEM; its certificate must also be for the host
  bool system_cas = false;  // by the authorities this system trusts, for the host
  friend bool operator==(const TlsTrust&, const TlsTrust&) = default;
};

// unix:PATH or HOST:PORT or [V6]:PORT. Port 0 asks the system for one.
struct Address {
  enum class Kind { kUnix, kTcp };
  Kind kind = Kind::kTcp;
  std::string path;  // kUnix; at most 107 bytes
  std::string host;  // kTcp
  unsigned short port = 0;
  std::optional<TlsTrust> tls = std::nullopt;  // of a client, kTcp: TLS to this peer; no part of the text

  // Errors: kInvalidArgument, saying what form is wanted.
  static Result<Address> parse(std::string_view text);
  friend bool operator==(const Address&, const Address&) = default;
  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] bool is_loopback() const;  // unix, 127.0.0.0/8, ::1, localhost
};

}  // namespace dormouse::http
