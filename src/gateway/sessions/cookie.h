// The console's cookie, as text: read from a request, written into an answer, and which requests it counts for.
// A browser sends a cookie to every port of a host, and for pages of every port: what tells the console's own requests
// from another program's page is where the browser says they come from. Pure. Threads: any.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "http/message.h"

namespace dormouse::gateway {

inline constexpr int kSessionSeconds = 43'200;  // 12 hours: a working day

enum class CookieScheme { kHttp, kHttps };  // kHttps: the browser is to send it over TLS only

// "dormouse_session_8080" where the browser asked port 8080; where Host names none, the scheme's own: 80 or 443.
[[nodiscard]] std::string session_cookie_name(const http::Request& request, CookieScheme scheme);
// The first one of that name; none, or empty: nullopt.
[[nodiscard]] std::optional<std::string_view> session_cookie(const http::Request& request, CookieScheme scheme);
// Values of set-cookie, in the answer to `request`.
[[nodiscard]] std::string new_session_cookie(const http::Request& request, std::string_view token, CookieScheme scheme);
[[nodiscard]] std::string ended_session_cookie(const http::Request& request, CookieScheme scheme);

// Whether a request may be let in by its cookie alone. No page of another origin's is: Sec-Fetch-Site must say
// same-origin (or none, of an address somebody typed, where it only looks), and Origin, where there is one, must be the
// server's own. What changes something must show one of the two: every browser sends Origin with it.
[[nodiscard]] bool is_from_own_page(const http::Request& request);

}  // namespace dormouse::gateway
