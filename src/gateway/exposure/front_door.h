// Opens the listeners as Exposure planned them, shows their certificate, and shows the next one when its files change.
// Owner: the house, which closes the servers it lends. Threads: the loop's.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "gateway/config_watch.h"
#include "gateway/deployments.h"
#include "gateway/exposure/exposure.h"
#include "http/asio.h"
#include "http/server.h"

namespace dormouse::gateway {

class FrontDoor {
 public:
  // Errors: those of Exposure::plan.
  static Result<FrontDoor> plan(const ExposureOptions& options);

  // Rule 2 of Exposure, and the certificate's files. Nothing is open yet. Blocking.
  // Errors: kPermissionDenied (what is missing), kDataLoss (no certificate and key), kNotFound (their files).
  Status check(bool any_active_key);
  // Errors: kAlreadyExists (a port in use) and those of bind.
  Status open(http::Server& api, http::Server& admin);
  // From now on the certificate's files are followed, where their paths lead at this moment; again: anew. Without
  // inotify only reload() does it.
  void watch(asio::io_context& io);
  void stop();
  // Reads the files again. A pair that does not fit changes nothing but the notices. Running connections keep theirs.
  void reload();

  [[nodiscard]] const Exposure& exposure() const { return exposure_; }
  // Bound addresses of --listen, and of --admin-listen where it is apart; ports filled in.
  [[nodiscard]] std::vector<std::string> addresses() const;
  [[nodiscard]] std::vector<std::string> admin_addresses() const;
  // Of addresses(), Exposure::url().
  [[nodiscard]] std::vector<std::string> urls() const;
  // For an operator, a sentence each.
  [[nodiscard]] std::vector<std::string> notices(const Deployments& deployments, bool any_active_key) const;

 private:
  [[nodiscard]] bool has_certificate() const { return !certificate_path_.empty(); }

  Exposure exposure_;
  std::string certificate_path_;
  std::string key_path_;
  http::TlsIdentity identity_;
  http::Server* api_ = nullptr;    // null: not open yet
  http::Server* admin_ = nullptr;  // as api_
  std::optional<ConfigWatch> certificate_watch_;
  std::optional<ConfigWatch> key_watch_;
  std::string problem_;
};

}  // namespace dormouse::gateway
