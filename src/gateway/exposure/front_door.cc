#include "gateway/exposure/front_door.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "gateway/exposure/interfaces.h"

namespace dormouse::gateway {
namespace {

std::string_view word_of(const Door& door) {
  return door.reach == Reach::kPublic ? "public" : "private";
}

std::vector<std::string> addresses_of(const Exposure& exposure, DoorKind kind) {
  std::vector<std::string> out;
  for (const Door& door : exposure.doors()) {
    if (door.kind == kind) out.push_back(door.address.to_string());
  }
  return out;
}

}  // namespace

Result<FrontDoor> FrontDoor::plan(const ExposureOptions& options) {
  FrontDoor out;
  TRY(out.exposure_, Exposure::plan(options));
  out.certificate_path_ = options.tls_certificate;
  out.key_path_ = options.tls_key;
  return out;
}

Status FrontDoor::check(bool any_active_key) {
  TRY_STATUS(exposure_.check(any_active_key));
  if (has_certificate()) {
    TRY(identity_, http::load_tls_identity(certificate_path_, key_path_));
  }
  return {};
}

Status FrontDoor::open(http::Server& api, http::Server& admin) {
  const std::vector<IpAddress> interfaces = interface_addresses();
  const std::vector<Door> doors = exposure_.doors();
  for (const Door& door : doors) {
    http::Server& server = door.kind == DoorKind::kAdmin ? admin : api;
    TRY(const http::Address bound, server.listen(door.address, door.name, door.is_tls ? &identity_ : nullptr));
    exposure_.bound(door.name, bound, interfaces);
    log_info("event=listening address={} reach={} admin={} tls={}", bound.to_string(), word_of(door), door.serves_admin,
             door.is_tls);
  }
  api_ = &api;
  admin_ = &admin;
  for (const std::string& warning : exposure_.warnings()) log_warn("event=exposed notice=\"{}\"", warning);
  return {};
}

void FrontDoor::watch(asio::io_context& io) {
  if (!has_certificate()) return;
  for (const auto& [path, watch] :
       {std::pair(&certificate_path_, &certificate_watch_), std::pair(&key_path_, &key_watch_)}) {
    Result<ConfigWatch> started = ConfigWatch::start(io, *path, [this] { reload(); });
    if (started.has_value()) {
      watch->emplace(*std::move(started));
      continue;
    }
    log_warn("event=certificate_not_watched error=\"{}\" hint=\"send SIGHUP after a change\"", started.error().message);
  }
}

void FrontDoor::stop() {
  certificate_watch_.reset();
  key_watch_.reset();
}

void FrontDoor::reload() {
  if (!has_certificate() || api_ == nullptr) return;
  Result<http::TlsIdentity> read = http::load_tls_identity(certificate_path_, key_path_);
  Status shown = read.has_value() ? api_->set_identity(*read) : Status(Error(read.error()));
  if (shown.has_value()) shown = admin_->set_identity(*read);
  if (!shown.has_value()) {
    // Also between the writing of the two files: the second one's event tries again.
    problem_ = fmt::format("{} (the certificate before it goes on)", shown.error().message);
    log_error("event=certificate_refused error=\"{}\"", shown.error().message);
    return;
  }
  problem_.clear();
  if (read->certificate_pem == identity_.certificate_pem) return;
  identity_ = *std::move(read);
  log_info("event=certificate_loaded fingerprint={}", identity_.fingerprint);
}

std::vector<std::string> FrontDoor::addresses() const {
  return addresses_of(exposure_, DoorKind::kApi);
}

std::vector<std::string> FrontDoor::admin_addresses() const {
  return addresses_of(exposure_, DoorKind::kAdmin);
}

std::vector<std::string> FrontDoor::urls() const {
  std::vector<std::string> out;
  for (const Door& door : exposure_.doors()) {
    if (door.kind == DoorKind::kApi) out.push_back(exposure_.url(door));
  }
  return out;
}

std::vector<std::string> FrontDoor::notices(const Deployments& deployments, bool any_active_key) const {
  std::vector<std::string> out = exposure_.warnings();
  if (!problem_.empty()) out.push_back(problem_);
  const bool has_public_door = exposure_.has_public_door();
  bool has_public_deployment = false;
  for (const auto& [name, deployment] : deployments.all()) {
    if (deployment.rules.exposure != "public") continue;
    has_public_deployment = true;
    if (has_public_door) continue;
    out.push_back(
        fmt::format("deployment {} is public, but every listener is private: dormouse serve --listen "
                    "0.0.0.0:8443 {} --host NAME, or --behind-proxy CIDR (docs/exposure.md)",
                    name, kTlsFlags));
    if (!any_active_key) {
      out.push_back(
          fmt::format("deployment {} is public, but there is no key to ask it with: {}", name, kCreateKeyCommand));
    }
  }
  if (has_public_door && !any_active_key) {
    out.push_back(fmt::format("no API key is active: nobody gets in at a public listener. {}", kCreateKeyCommand));
  }
  if (has_public_door && !has_public_deployment && !deployments.all().empty()) {
    out.emplace_back(
        "no deployment is public, so the public listener answers for none: dormouse set NAME "
        "exposure=public");
  }
  return out;
}

}  // namespace dormouse::gateway
