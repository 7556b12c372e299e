// First byte picks a header: Host, Forwarded, X-Forwarded-For, the preflight's list. A host that passed is its own
// canonical form; an address a hop names is written back as itself; a preflight's answer is made of allowed characters.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "gateway/exposure/cors.h"
#include "gateway/exposure/forwarded.h"
#include "gateway/exposure/host_names.h"

namespace {

using namespace std::string_view_literals;
namespace gateway = dormouse::gateway;

void fuzz_host(std::string_view text) {
  const std::optional<std::string> name = gateway::host_name_of(text);
  if (name.has_value() && gateway::host_name_of(*name) != name) std::abort();
}

void fuzz_forwarded(std::string_view field, std::string_view text) {
  const gateway::IpAddress peer = *gateway::IpAddress::parse("10.0.0.1");
  dormouse::http::Headers headers;
  headers.add(field, text);
  headers.add(field, "for=10.0.0.2"sv.substr(field == "forwarded" ? 0 : 4));
  const auto client = gateway::find_client(peer, headers, {*gateway::IpNetwork::parse("10.0.0.0/8")});
  if (client.has_value() && gateway::IpAddress::parse(client->address.to_string()) != client->address) std::abort();
}

void fuzz_preflight(std::string_view text) {
  dormouse::http::Headers headers;
  gateway::CorsRules::make({"*"})->add_preflight_headers("https://a.example", text, headers);
  const std::string_view allowed = headers.find("access-control-allow-headers").value_or("");
  if (allowed.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_, ") != std::string_view::npos) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
    case 0: fuzz_host(text); break;
    case 1: fuzz_forwarded("forwarded", text); break;
    case 2: fuzz_forwarded("x-forwarded-for", text); break;
    default: fuzz_preflight(text);
  }
  return 0;
}
