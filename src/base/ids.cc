#include "base/ids.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <array>
#include <string_view>
#include <vector>

#include "base/check.h"

namespace dormouse {
namespace {

void fill_random(void* out, std::size_t size) {
  auto* bytes = static_cast<unsigned char*>(out);
  while (size > 0) {
    const ssize_t got = ::getrandom(bytes, size, 0);
    CHECK(got > 0);  // getrandom without flags fails only on a bad address
    bytes += got;
    size -= static_cast<std::size_t>(got);
  }
}

}  // namespace

std::string make_uuid_v7(WallTime now) {
  std::array<std::uint8_t, 16> b{};
  fill_random(b.data(), b.size());
  const auto ms = static_cast<std::uint64_t>(now.us / 1000);
  for (std::size_t i = 0; i < 6; ++i) b[i] = static_cast<std::uint8_t>(ms >> (40 - 8 * i));
  b[6] = static_cast<std::uint8_t>((b[6] & 0x0f) | 0x70);
  b[8] = static_cast<std::uint8_t>((b[8] & 0x3f) | 0x80);
  std::string out;
  out.reserve(36);
  for (std::size_t i = 0; i < b.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
    out += fmt::format("{:02x}", b[i]);
  }
  return out;
}

std::string uuid_v7_bound(WallTime now) {
  const std::int64_t ms = now.us / 1000;
  return fmt::format("{:08x}-{:04x}", (ms >> 16) & 0xffffffff, ms & 0xffff);
}

std::string random_hex(int bytes) {
  std::vector<std::uint8_t> raw(static_cast<std::size_t>(bytes));
  fill_random(raw.data(), raw.size());
  std::string out;
  for (const std::uint8_t byte : raw) out += fmt::format("{:02x}", byte);
  return out;
}

std::string random_base62(std::size_t characters) {
  constexpr std::string_view kDigits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  // A byte from here on would favour the first digits.
  constexpr std::size_t kFair = 256 / kDigits.size() * kDigits.size();
  std::string out;
  while (out.size() < characters) {
    std::array<std::uint8_t, 64> raw{};
    fill_random(raw.data(), raw.size());
    for (const std::uint8_t byte : raw) {
      if (byte < kFair && out.size() < characters) out += kDigits[byte % kDigits.size()];
    }
  }
  return out;
}

std::uint32_t crc32(const void* data, std::size_t size, std::uint32_t seed) {
  const auto* p = static_cast<const std::uint8_t*>(data);
  std::uint32_t crc = ~seed;
  for (std::size_t i = 0; i < size; ++i) {
    crc ^= p[i];
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0xEDB88320U & (0U - (crc & 1U)));
  }
  return ~crc;
}

}  // namespace dormouse
