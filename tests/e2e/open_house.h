// A house with an API key, in this process: what `dormouse serve` becomes once keys exist, its listeners as a test
// wants them. Runs in a thread of its own, and ends with the object. One at a time: it ends by this process's SIGTERM.
#pragma once

#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "e2e/running_house.h"
#include "gateway/house.h"
#include "http/tls.h"

namespace dormouse::e2e {

class OpenHouse {
 public:
  // name, what its fake worker does, exposure
  struct Model {
    std::string name;
    std::string behaviour;
    std::string exposure = "private";
  };

  OpenHouse(gateway::ExposureOptions exposure, const std::vector<Model>& models, bool any_active_key = true);
  ~OpenHouse();
  OpenHouse(const OpenHouse&) = delete;
  OpenHouse& operator=(const OpenHouse&) = delete;

  // Why it did not come up; empty: it did.
  [[nodiscard]] const std::string& failure() const { return failure_; }
  // The listener's address as a client reaches it (loopback where it is a wildcard), by place in --listen, then
  // --admin-listen. TLS trusts `identity` where the listener has it.
  [[nodiscard]] http::Address door(std::size_t index, const http::TlsIdentity* identity = nullptr) const;
  [[nodiscard]] http::Address socket() const;

 private:
  std::string directory_;
  std::string failure_;
  std::unique_ptr<gateway::House> house_;
  std::thread thread_;
};

// A certificate and key as files, replaced together.
class CertificateFiles {
 public:
  CertificateFiles();
  ~CertificateFiles();
  CertificateFiles(const CertificateFiles&) = delete;
  CertificateFiles& operator=(const CertificateFiles&) = delete;
  void write(const http::TlsIdentity& identity) const;
  void add_to(gateway::ExposureOptions& options) const;
  [[nodiscard]] std::string certificate() const { return directory_ + "/cert.pem"; }
  [[nodiscard]] std::string key() const { return directory_ + "/key.pem"; }

 private:
  std::string directory_;
};

}  // namespace dormouse::e2e
