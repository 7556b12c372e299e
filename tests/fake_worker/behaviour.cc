#include "fake_worker/behaviour.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace dormouse::fake {
namespace {

struct Number {
  std::string_view key;
  std::int64_t Behaviour::*field;
};
struct Flag {
  std::string_view key;
  bool Behaviour::*field;
};

constexpr std::array kNumbers = {
    Number{"load_ms", &Behaviour::load_ms},
    Number{"tokens_per_s", &Behaviour::tokens_per_s},
    Number{"tokens", &Behaviour::tokens},
    Number{"context", &Behaviour::context},
    Number{"crash_at", &Behaviour::crash_at},
    Number{"exit_at", &Behaviour::exit_at},
    Number{"hang_at", &Behaviour::hang_at},
    Number{"slow_hello_ms", &Behaviour::slow_hello_ms},
    Number{"crash_load_ms", &Behaviour::crash_load_ms},
    Number{"faulty_starts", &Behaviour::faulty_starts},
};
constexpr std::array kFlags = {
    Flag{"hang_load", &Behaviour::hang_load},
    Flag{"fail_load", &Behaviour::fail_load},
    Flag{"ignore_sigterm", &Behaviour::ignore_sigterm},
    Flag{"ignore_drain", &Behaviour::ignore_drain},
    Flag{"ignore_stop", &Behaviour::ignore_stop},
    Flag{"survive_eof", &Behaviour::survive_eof},
    Flag{"wrong_lease", &Behaviour::wrong_lease},
    Flag{"garbage", &Behaviour::garbage},
    Flag{"garbage_stream", &Behaviour::garbage_stream},
    Flag{"golden_mismatch", &Behaviour::golden_mismatch},
};

Status set(std::string_view key, std::string_view value, Behaviour& behaviour) {
  std::int64_t number = 0;
  const auto [end, ec] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (ec != std::errc{} || end != value.data() + value.size()) {
    return make_error(Code::kInvalidArgument, "fake: not a number: " + std::string(key) + "=" + std::string(value));
  }
  for (const Number& entry : kNumbers) {
    if (entry.key != key) continue;
    behaviour.*entry.field = number;
    return {};
  }
  for (const Flag& entry : kFlags) {
    if (entry.key != key) continue;
    behaviour.*entry.field = number != 0;
    return {};
  }
  return make_error(Code::kInvalidArgument, "fake: no such key: " + std::string(key));
}

}  // namespace

Behaviour healthy(const Behaviour& behaviour) {
  Behaviour out;
  out.load_ms = behaviour.load_ms;
  out.tokens_per_s = behaviour.tokens_per_s;
  out.tokens = behaviour.tokens;
  out.context = behaviour.context;
  return out;
}

Status apply(std::string_view text, Behaviour& behaviour) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(", \n"), text.size());
    const std::string_view item = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (item.empty()) continue;
    const std::size_t equals = item.find('=');
    const std::string_view key = item.substr(0, equals);
    TRY_STATUS(set(key, equals == std::string_view::npos ? std::string_view("1") : item.substr(equals + 1), behaviour));
  }
  return {};
}

}  // namespace dormouse::fake
