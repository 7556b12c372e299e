#include "e2e/open_house.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "base/ids.h"

namespace dormouse::e2e {
namespace {

namespace fs = std::filesystem;

}  // namespace

OpenHouse::OpenHouse(gateway::ExposureOptions exposure, const std::vector<Model>& models, bool any_active_key)
    : directory_((fs::temp_directory_path() / ("dormouse-open-" + random_hex(4))).string()) {
  fs::create_directories(directory_);
  gateway::HouseOptions options;
  options.data_dir = directory_ + "/data";
  options.worker_path = E2E_FAKE_WORKER;
  options.worker_environment = {"PATH=/usr/bin:/bin"};
  options.config_path = directory_ + "/data/dormouse.toml";
  options.exposure = std::move(exposure);
  options.any_active_key = [any_active_key] { return any_active_key; };
  for (const Model& model : models) {
    const std::string file = fmt::format("{}/{}.gguf", directory_, model.name);
    std::ofstream(file) << "fake:" << model.behaviour;
    gateway::StartDeployment& given = options.deployments.emplace_back();
    given.wish.name = model.name;
    given.wish.image = file;
    given.wish.rules.exposure = model.exposure;
    given.defined_by = "--model";
  }
  std::promise<std::string> up;
  std::future<std::string> came_up = up.get_future();
  // Opened there, too: workers die with the thread that made them.
  thread_ = std::thread([this, &up, made = std::move(options)]() mutable {
    Result<std::unique_ptr<gateway::House>> house = gateway::House::open(std::move(made));
    if (!house.has_value()) {
      up.set_value(house.error().message);
      return;
    }
    house_ = *std::move(house);
    bool told = false;
    const Status status = house_->run([&] {
      told = true;
      up.set_value("");
    });
    if (!told) up.set_value(status.error().message);
  });
  failure_ = came_up.get();
}

OpenHouse::~OpenHouse() {
  if (failure_.empty()) {
    ::kill(::getpid(), SIGTERM);
    ::kill(::getpid(), SIGTERM);  // twice: in a hurry
  }
  thread_.join();
  house_.reset();
  std::error_code ec;
  fs::remove_all(directory_, ec);
}

http::Address OpenHouse::door(std::size_t index, const http::TlsIdentity* identity) const {
  const gateway::Door& door = house_->exposure().doors().at(index);
  http::Address out = door.address;
  if (out.host == "0.0.0.0") out.host = "127.0.0.1";
  if (out.host == "::") out.host = "::1";
  if (door.is_tls && identity != nullptr) out.tls = http::TlsTrust{identity->fingerprint, {}};
  return out;
}

http::Address OpenHouse::socket() const {
  return http::Address::parse("unix:" + directory_ + "/data/run/admin.sock").value();
}

CertificateFiles::CertificateFiles()
    : directory_((fs::temp_directory_path() / ("dormouse-cert-" + random_hex(4))).string()) {
  fs::create_directories(directory_);
}

CertificateFiles::~CertificateFiles() {
  std::error_code ec;
  fs::remove_all(directory_, ec);
}

void CertificateFiles::write(const http::TlsIdentity& identity) const {
  std::ofstream(certificate()) << identity.certificate_pem;
  std::ofstream(key()) << identity.key_pem;
}

void CertificateFiles::add_to(gateway::ExposureOptions& options) const {
  options.tls_certificate = certificate();
  options.tls_key = key();
}

}  // namespace dormouse::e2e
