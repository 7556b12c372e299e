#include "gateway/keys/key_format.h"

#include <algorithm>
#include <cstdint>

#include "base/check.h"
#include "base/ids.h"

namespace dormouse::gateway {
namespace {

constexpr std::string_view kDigits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

bool is_base62(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return kDigits.find(c) != std::string_view::npos; });
}

// 62^6 > 2^32: every sum has one spelling.
std::string crc_text(std::string_view text) {
  std::uint32_t crc = crc32(text.data(), text.size());
  std::string out(kCrcCharacters, kDigits[0]);
  for (std::size_t i = kCrcCharacters; i > 0; --i) {
    out[i - 1] = kDigits[crc % kDigits.size()];
    crc /= static_cast<std::uint32_t>(kDigits.size());
  }
  return out;
}

}  // namespace

std::string_view key_prefix(Scope scope) {
  switch (scope) {
    case Scope::kInference: return "lsk_";
    case Scope::kRead: return "lsa_";
    case Scope::kAdmin: return "lsa_";
  }
  return "lsk_";
}

std::string make_kid() {
  return random_base62(kKidCharacters);
}

bool is_kid(std::string_view text) {
  return text.size() == kKidCharacters && is_base62(text);
}

std::string make_key(Scope scope, std::string_view kid) {
  CHECK(is_kid(kid));
  std::string out(key_prefix(scope));
  out += kid;
  out += '_';
  out += random_base62(kSecretCharacters);
  out += crc_text(out);
  return out;
}

std::optional<std::string_view> kid_of(std::string_view key) {
  if (key.size() != kKeyCharacters) return std::nullopt;
  if (!key.starts_with("lsk_") && !key.starts_with("lsa_")) return std::nullopt;
  const std::string_view kid = key.substr(kPrefixCharacters, kKidCharacters);
  const std::size_t separator = kPrefixCharacters + kKidCharacters;
  if (key[separator] != '_' || !is_base62(kid) || !is_base62(key.substr(separator + 1))) return std::nullopt;
  const std::size_t summed = kKeyCharacters - kCrcCharacters;
  if (crc_text(key.substr(0, summed)) != key.substr(summed)) return std::nullopt;
  return kid;
}

std::string_view hint_of(std::string_view key) {
  return key.substr(key.size() - std::min(key.size(), kHintCharacters));
}

std::string_view to_string(Scope scope) {
  switch (scope) {
    case Scope::kInference: return "inference";
    case Scope::kRead: return "read";
    case Scope::kAdmin: return "admin";
  }
  return "inference";
}

std::optional<Scope> scope_of(std::string_view text) {
  for (const Scope scope : {Scope::kInference, Scope::kRead, Scope::kAdmin}) {
    if (text == to_string(scope)) return scope;
  }
  return std::nullopt;
}

}  // namespace dormouse::gateway
