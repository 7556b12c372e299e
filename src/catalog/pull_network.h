// How a pull reaches the network: which hosts it may ask, and through which proxy. Pure values; threads: any.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/client.h"
#include "http/url.h"

namespace dormouse::catalog {

// Where a pull may go (requirement S-28), asked for every address and every redirect:
//   1. The hubs and the content networks they send downloads to: https, port 443, addresses in the internet only.
//   2. Hosts that the user names (--allow-host, the host of a --source address, HF_ENDPOINT): they may be private; http
//      is taken where the address turns out to be this machine.
class AllowedHosts {
 public:
  // Each HOST, HOST:PORT or an address's https://HOST. Errors: kInvalidArgument.
  static Result<AllowedHosts> make(const std::vector<std::string>& named);
  Status allow(std::string_view host);

  // Errors: kPermissionDenied, naming the host and --allow-host.
  [[nodiscard]] Status check(const http::Url& url) const;
  // For http::ClientRequest::admit: of the addresses that the host's name turns out to be.
  [[nodiscard]] http::AddressCheck admit(const http::Url& url) const;

 private:
  struct Named {
    std::string host;
    unsigned short port = 0;  // 0: any
  };
  [[nodiscard]] bool is_named(const http::Url& url) const;
  std::vector<Named> named_;
};

// HTTPS_PROXY or ALL_PROXY, and NO_PROXY, small letters first, as curl reads them. HTTP_PROXY says nothing here: what
// goes to another machine is https.
class Proxies {
 public:
  // `environment`: the value of a variable, or empty. Errors: kInvalidArgument (a proxy that is not http://).
  static Result<Proxies> read(const std::function<std::string(const char*)>& environment);
  // nullopt: straight, as always to this machine and over http.
  [[nodiscard]] std::optional<http::Proxy> of(const http::Url& url) const;

 private:
  std::optional<http::Proxy> proxy_;
  std::vector<std::string> except_;
};

}  // namespace dormouse::catalog
