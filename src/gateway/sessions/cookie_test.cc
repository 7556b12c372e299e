// Goal: the cookie says what it must, is found among others, and counts for the console's own page only. Method:
// headers as browsers send them, row by row.
#include "gateway/sessions/cookie.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace dormouse::gateway {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

http::Request request(const std::string& method, const Fields& fields) {
  http::Request out;
  out.method = method;
  for (const auto& [name, value] : fields) out.headers.add(name, value);
  return out;
}

TEST(Cookie, CarriesEveryFlag) {
  const http::Request asked = request("POST", {{"host", "127.0.0.1:8080"}});
  EXPECT_EQ(new_session_cookie(asked, "abc", CookieScheme::kHttp),
            "dormouse_session_8080=abc; HttpOnly; SameSite=Strict; Path=/; Max-Age=43200");
  EXPECT_EQ(new_session_cookie(asked, "abc", CookieScheme::kHttps),
            "dormouse_session_8080=abc; HttpOnly; SameSite=Strict; Path=/; Max-Age=43200; Secure");
  EXPECT_EQ(ended_session_cookie(asked, CookieScheme::kHttp),
            "dormouse_session_8080=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0");
}

// A browser keeps one cookie of a name for a host, whatever the port.
TEST(Cookie, IsNamedAfterThePortThatWasAsked) {
  const auto name = [](const Fields& fields, CookieScheme scheme) {
    return session_cookie_name(request("GET", fields), scheme);
  };
  const std::vector<std::pair<std::string, std::string>> rows = {{"127.0.0.1:8080", "8080"}, {"localhost:8081", "8081"},
                                                                 {"[::1]:8080", "8080"},     {"[::1]", "80"},
                                                                 {"console.example", "80"},  {"console.example:", "80"},
                                                                 {"host:80; x=1", "80"},     {"host:123456", "80"},
                                                                 {"host:-1", "80"},          {"", "80"}};
  for (const auto& [host, port] : rows) {
    EXPECT_EQ(name({{"host", host}}, CookieScheme::kHttp), "dormouse_session_" + port) << host;
  }
  EXPECT_EQ(name({}, CookieScheme::kHttp), "dormouse_session_80");
  EXPECT_EQ(name({{"host", "console.example"}}, CookieScheme::kHttps), "dormouse_session_443");
  EXPECT_EQ(name({{"host", "console.example:8443"}}, CookieScheme::kHttps), "dormouse_session_8443");
}

TEST(Cookie, IsFoundByItsWholeName) {
  const auto found = [](const Fields& fields) {
    http::Request r = request("GET", fields);
    r.headers.add("host", "localhost:80");
    return std::string(session_cookie(r, CookieScheme::kHttp).value_or("-"));
  };
  EXPECT_EQ(found({}), "-");
  EXPECT_EQ(found({{"cookie", "dormouse_session_80=abc"}}), "abc");
  EXPECT_EQ(found({{"Cookie", "a=b; dormouse_session_80=abc; c=d"}}), "abc");
  EXPECT_EQ(found({{"cookie", "a=b;dormouse_session_80=abc"}}), "abc");
  EXPECT_EQ(found({{"cookie", "a=b"}, {"cookie", "dormouse_session_80=abc"}}), "abc");
  EXPECT_EQ(found({{"cookie", "dormouse_session_80="}}), "-");
  EXPECT_EQ(found({{"cookie", "dormouse_session_80"}}), "-");
  EXPECT_EQ(found({{"cookie", "xdormouse_session_80=abc"}}), "-");
  EXPECT_EQ(found({{"cookie", "dormouse_session_8080=abc"}}), "-");
  EXPECT_EQ(found({{"cookie", "dormouse_session=abc"}}), "-") << "the name of before ports were in it";
  EXPECT_EQ(found({{"cookie", "dormouse_session_8080=x; dormouse_session_80=abc"}}), "abc");
  EXPECT_EQ(found({{"cookie", ";;; ;"}}), "-");
}

TEST(Cookie, CountsForRequestsOfItsOwnPageOnly) {
  const std::pair<std::string, std::string> host{"host", "127.0.0.1:8080"};
  const std::pair<std::string, std::string> own{"origin", "http://127.0.0.1:8080"};
  const std::pair<std::string, std::string> neighbour{"origin", "http://127.0.0.1:3000"};
  const auto site = [](const char* value) { return std::pair<std::string, std::string>{"sec-fetch-site", value}; };
  struct Row {
    Fields fields;
    bool may_look;
    bool may_change;
  };
  const std::vector<Row> rows = {
      {{host}, true, false},
      {{host, own}, true, true},
      {{host, site("same-origin")}, true, true},
      {{host, own, site("same-origin")}, true, true},
      {{host, site("none")}, true, false},
      {{host, site("same-site")}, false, false},
      {{host, site("cross-site")}, false, false},
      {{host, own, site("cross-site")}, false, false},
      {{host, neighbour}, false, false},
      {{host, neighbour, site("same-site")}, false, false},
      {{host, neighbour, site("same-origin")}, false, false},
      {{host, {"origin", "null"}}, false, false},
      {{host, {"origin", "https://evil.example"}}, false, false},
      {{host, {"origin", "http://127.0.0.1:8080.evil.example"}}, false, false},
      {{own}, false, false},
  };
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (const char* method : {"GET", "HEAD"}) {
      EXPECT_EQ(is_from_own_page(request(method, rows[i].fields)), rows[i].may_look) << "row " << i << " " << method;
    }
    for (const char* method : {"POST", "PATCH", "DELETE", "PUT"}) {
      EXPECT_EQ(is_from_own_page(request(method, rows[i].fields)), rows[i].may_change) << "row " << i << " " << method;
    }
  }
}

}  // namespace
}  // namespace dormouse::gateway
