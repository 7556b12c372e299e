#include "gateway/remote_drivers.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <map>
#include <utility>

#include "fleet/drivers/make_driver.h"
#include "gateway/driver_file.h"
#include "http/message.h"

namespace dormouse::gateway {
namespace {

constexpr std::string_view kFingerprintKind = "sha256:";
constexpr std::size_t kOwnerDigits = 12;  // of the fingerprint: enough for every gateway of an account

// What workers dial: the bound address, with this machine's name where it is bound to every interface.
Result<std::string> control_address(const std::string& bound) {
  TRY(http::Address address, http::Address::parse(bound));
  if (address.host != "0.0.0.0" && address.host != "::") return bound;
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return errno_error("gethostname", errno);
  address.host = name.data();
  return address.to_string();
}

}  // namespace

Result<std::vector<NamedDriver>> make_remote_drivers(const catalog::ConfigFile& config, const std::string& what,
                                                     const RemoteDriversOptions& options) {
  std::vector<NamedDriver> out;
  if (config.driver_text.empty()) return out;
  if (options.worker_addresses.empty()) {
    return make_error(Code::kInvalidArgument,
                      fmt::format("{}: [driver]: workers on other machines need a door: worker_listen = "
                                  "[\"0.0.0.0:8082\"], or serve --worker-listen",
                                  what));
  }
  if (::mkdir(options.script_directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return errno_error(options.script_directory, errno);
  }
  DriverContext context;
  context.io = options.io;
  context.clock = options.clock;
  context.environment = options.environment;
  context.owner = options.worker_fingerprint.substr(kFingerprintKind.size(), kOwnerDigits);
  context.script_directory = options.script_directory;
  context.place.listen = "0.0.0.0:0";
  TRY(context.place.control, control_address(options.worker_addresses.front()));
  context.place.control_fingerprint = options.worker_fingerprint;
  TRY(auto tables, read_drivers(config.driver_text, what, context));
  for (auto& [name, table] : tables) {
    if (name == "process") {
      return make_error(Code::kInvalidArgument,
                        fmt::format("{}: [driver.process]: that name is this machine's own", what));
    }
    TRY(std::unique_ptr<fleet::Driver> driver, fleet::make_driver(fleet::DriverOptions(std::move(table))));
    out.push_back({name, std::move(driver)});
  }
  return out;
}

}  // namespace dormouse::gateway
