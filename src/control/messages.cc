#include "control/messages.h"

#include <fmt/format.h>

#include <array>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cmath>
#include <concepts>
#include <optional>
#include <type_traits>

#include "base/checked_int.h"

namespace dormouse::control {
namespace {

namespace json = boost::json;

// Messages are flat objects; a newer peer may add one level or two.
constexpr std::size_t kMaxDepth = 8;

json::string_view to_boost(std::string_view text) {
  return {text.data(), text.size()};
}

// Typed reads; the first wrong type is remembered. Absent fields keep the struct's default.
class Reader {
 public:
  explicit Reader(const json::object& object) : object_(object) {}

  void field(std::string_view key, std::string& out) {
    const json::value* value = object_.if_contains(to_boost(key));
    if (value == nullptr) return;
    if (!value->is_string()) return refuse(key, "a string");
    out.assign(value->get_string().data(), value->get_string().size());
  }

  template <std::integral T>
  void field(std::string_view key, T& out) {
    const json::value* value = object_.if_contains(to_boost(key));
    if (value == nullptr) return;
    std::optional<T> got;
    if (const std::int64_t* i = value->if_int64()) got = checked_cast<T>(*i);
    if (const std::uint64_t* u = value->if_uint64()) got = checked_cast<T>(*u);
    if (!got) return refuse(key, "an integer in range");
    out = *got;
  }

  void field(std::string_view key, double& out) {
    const json::value* value = object_.if_contains(to_boost(key));
    if (value == nullptr) return;
    if (!value->is_number()) return refuse(key, "a number");
    const double got = value->to_number<double>();
    if (!std::isfinite(got)) return refuse(key, "a finite number");
    out = got;
  }

  [[nodiscard]] const std::optional<Error>& error() const { return error_; }

 private:
  void refuse(std::string_view key, std::string_view want) {
    if (!error_) error_ = make_error(Code::kInvalidArgument, fmt::format("control: field {} must be {}", key, want));
  }

  const json::object& object_;
  std::optional<Error> error_;
};

// One list of fields a message; `io` is a Reader (reads into the struct) or a Writer.
template <typename Io, typename M>
void visit_fields(Io& io, M& m) {
  using T = std::remove_const_t<M>;
  if constexpr (std::is_same_v<T, Hello>) {
    io.field("protocol", m.protocol);
    io.field("build", m.build);
    io.field("lease", m.lease);
    io.field("epoch", m.epoch);
    io.field("address", m.address);
    io.field("tls_fingerprint", m.tls_fingerprint);
    io.field("pid", m.pid);
  } else if constexpr (std::is_same_v<T, Progress>) {
    io.field("phase", m.phase);
    io.field("fraction", m.fraction);
  } else if constexpr (std::is_same_v<T, Ready>) {
    io.field("model", m.model);
    io.field("isa", m.isa);
    io.field("threads", m.threads);
    io.field("context_length", m.context_length);
    io.field("max_sequences", m.max_sequences);
    io.field("kv_tokens", m.kv_tokens);
    io.field("load_us", m.load_us);
  } else if constexpr (std::is_same_v<T, Stats>) {
    io.field("steps", m.steps);
    io.field("running", m.running);
    io.field("waiting", m.waiting);
    io.field("prompt_tokens", m.prompt_tokens);
    io.field("generated_tokens", m.generated_tokens);
    io.field("slow_step_us", m.slow_step_us);
  } else if constexpr (std::is_same_v<T, Failed>) {
    io.field("code", m.code);
    io.field("message", m.message);
  } else if constexpr (std::is_same_v<T, Ended>) {
    io.field("request_id", m.request_id);
    io.field("prompt_tokens", m.prompt_tokens);
    io.field("generated_tokens", m.generated_tokens);
  } else {
    static_assert(std::is_same_v<T, Drain> || std::is_same_v<T, Stop> || std::is_same_v<T, Welcome>);
  }
}

class Writer {
 public:
  explicit Writer(json::object& object) : object_(object) {}
  void field(std::string_view key, const std::string& value) { object_.emplace(to_boost(key), to_boost(value)); }
  void field(std::string_view key, double value) { object_.emplace(to_boost(key), std::isfinite(value) ? value : 0.0); }
  template <std::integral T>
  void field(std::string_view key, T value) {
    object_.emplace(to_boost(key), value);
  }

 private:
  json::object& object_;
};

std::string_view type_name(const Message& message) {
  // In the order of the variant.
  static constexpr std::array<std::string_view, 9> kNames = {"hello", "progress", "ready",   "stats", "failed",
                                                             "drain", "stop",     "welcome", "ended"};
  static_assert(std::variant_size_v<Message> == kNames.size());
  return kNames[message.index()];
}

template <typename T>
Result<Message> decode_as(const json::object& object) {
  T message;
  Reader reader(object);
  visit_fields(reader, message);
  if (reader.error()) return *reader.error();
  if constexpr (std::is_same_v<T, Hello>) {
    if (message.protocol != kProtocolVersion) {
      return make_error(Code::kInvalidArgument, fmt::format("control: peer speaks protocol {}, this build speaks {}",
                                                            message.protocol, kProtocolVersion));
    }
  }
  if constexpr (std::is_same_v<T, Progress>) {
    if (message.fraction < 0 || message.fraction > 1) {
      return make_error(Code::kInvalidArgument, "control: field fraction must be from 0 to 1");
    }
  }
  return Message(std::move(message));
}

}  // namespace

std::string encode(const Message& message) {
  json::object object;
  object.emplace("type", to_boost(type_name(message)));
  Writer writer(object);
  std::visit([&writer](const auto& m) { visit_fields(writer, m); }, message);
  return json::serialize(object);
}

Result<Message> decode(std::string_view text) {
  if (text.size() > kMaxMessageBytes) {
    return make_error(Code::kTooLarge,
                      fmt::format("control: message of {} bytes, limit {}", text.size(), kMaxMessageBytes));
  }
  json::parse_options options;
  options.max_depth = kMaxDepth;
  boost::system::error_code ec;
  const json::value value = json::parse(to_boost(text), ec, json::storage_ptr(), options);
  const json::object* object = value.if_object();
  if (ec || object == nullptr) return make_error(Code::kInvalidArgument, "control: message is not a JSON object");
  const json::value* type = object->if_contains("type");
  if (type == nullptr || !type->is_string())
    return make_error(Code::kInvalidArgument, "control: message without a type");
  const std::string_view name(type->get_string().data(), type->get_string().size());
  if (name == "hello") return decode_as<Hello>(*object);
  if (name == "progress") return decode_as<Progress>(*object);
  if (name == "ready") return decode_as<Ready>(*object);
  if (name == "stats") return decode_as<Stats>(*object);
  if (name == "failed") return decode_as<Failed>(*object);
  if (name == "drain") return decode_as<Drain>(*object);
  if (name == "stop") return decode_as<Stop>(*object);
  if (name == "welcome") return decode_as<Welcome>(*object);
  if (name == "ended") return decode_as<Ended>(*object);
  return make_error(Code::kNotFound, "control: unknown message type");
}

}  // namespace dormouse::control
