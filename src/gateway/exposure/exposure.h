// Who can reach this server, and through which door: the listeners with what each may serve, the names it answers for,
// the pages that may read its answers, the proxies that are believed. Planned from flags and file before a socket is
// open; pure. Owner: the front door. Threads: the loop's; changes only in bound(), before the first request.
//
// Rules:
// 1. A door is private (loopback, a Unix socket) or public (any other address, or any at all behind a proxy).
// 2. No public door without an API key, and none outside a private network without TLS or a proxy that does it.
// 3. The admin API shares the doors while all are private; once one is not, it has doors of its own.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gateway/exposure/cors.h"
#include "gateway/exposure/ip_network.h"
#include "http/message.h"

namespace dormouse::gateway {

// Whom a door lets in.
enum class Reach {
  kSocket,   // run/admin.sock: who may open the file
  kPrivate,  // programs of this machine
  kPublic,   // whoever can send a packet: keys decide
};

enum class DoorKind { kApi, kAdmin };  // of --listen, of --admin-listen

struct Door {
  std::string name;  // the listener's, http::Exchange::listener()
  DoorKind kind = DoorKind::kApi;
  http::Address address;  // as asked for; bound() fills in the port
  Reach reach = Reach::kPublic;
  bool serves_admin = false;
  bool is_tls = false;
  std::set<std::string, std::less<>> own_names;  // IP addresses as a Host header has them
};

// As given; empty lists are what nobody said.
struct ExposureOptions {
  std::vector<std::string> listen;        // addresses; none: the admin socket only
  std::vector<std::string> admin_listen;  // none: rule 3, with kDefaultAdminListen
  std::vector<std::string> hosts;         // further names to answer for
  std::vector<std::string> cors;          // origins
  std::vector<std::string> behind_proxy;  // networks whose proxies are believed
  std::string tls_certificate;            // PEM files; both or none
  std::string tls_key;
};

inline constexpr const char* kDefaultAdminListen = "127.0.0.1:8081";
inline constexpr const char* kSocketDoor = "admin";  // the listener run/admin.sock
// What a refusal tells to do; the CLI finds it in the message and says the rest in the reader's language.
inline constexpr const char* kCreateKeyCommand = "dormouse keys create --name app --scope inference";
inline constexpr const char* kTlsFlags = "--tls-cert FILE --tls-key FILE";

class Exposure {
 public:
  Exposure() = default;  // the socket only
  // Errors: kInvalidArgument, naming the flag.
  [[nodiscard]] static Result<Exposure> plan(const ExposureOptions& options);

  // Rule 2, everything that is missing in one message. Errors: kPermissionDenied.
  [[nodiscard]] Status check(bool any_active_key) const;
  // Worth a sentence at the start and in `ps`: keys and prompts in the clear on a private network.
  [[nodiscard]] const std::vector<std::string>& warnings() const { return warnings_; }

  [[nodiscard]] const std::vector<Door>& doors() const { return doors_; }
  [[nodiscard]] bool has_public_door() const;
  // An unknown listener is a public one that serves the least.
  [[nodiscard]] const Door& door(std::string_view name) const;
  // The door stands: its address with the port, and what a wildcard address means on this machine.
  void bound(std::string_view name, const http::Address& address, const std::vector<IpAddress>& interfaces);

  // As a client on this machine asks there: a wildcard is no address to ask at, a certificate is for a name.
  [[nodiscard]] std::string url(const Door& door) const;

  [[nodiscard]] bool allows_host(const Door& door, std::string_view host_header) const;
  [[nodiscard]] const CorsRules& cors() const { return cors_; }
  [[nodiscard]] const std::vector<IpNetwork>& proxies() const { return proxies_; }

 private:
  Status add_door(const std::string& text, DoorKind kind, bool has_tls);

  std::vector<Door> doors_;
  std::vector<std::string> in_the_clear_;  // addresses, each open to the internet without TLS
  std::vector<std::string> warnings_;
  std::set<std::string, std::less<>> hosts_;
  CorsRules cors_;
  std::vector<IpNetwork> proxies_;
};

// Whether a page of this origin runs on this machine: http(s)://localhost, 127.0.0.1, [::1], any port.
[[nodiscard]] bool is_loopback_origin(std::string_view origin);
// Whether it is the server's own, asked for by `host_header`.
[[nodiscard]] bool is_own_origin(std::string_view origin, std::string_view host_header);

}  // namespace dormouse::gateway
