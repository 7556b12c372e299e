// Where keys are made and ended: the running server over run/admin.sock, or, where none runs, the data directory
// itself, whose lock is then held until the desk closes. Threads: one; every call blocks.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "gateway/keys/key_ring.h"
#include "gateway/keys/key_wish.h"

namespace dormouse::cli {

class KeyDesk {
 public:
  // `admin_socket` of a server that may be running on `data_dir`. Errors: kAlreadyExists (a server is just starting or
  // ending there), and those of the directory, its ledger and its pepper.
  static Result<std::unique_ptr<KeyDesk>> open(const std::string& admin_socket, const std::string& data_dir);
  virtual ~KeyDesk() = default;

  // Errors: as gateway::KeyRing's drafts, or what the server said.
  virtual Result<gateway::IssuedKey> create(const gateway::KeyWish& wish) = 0;
  virtual Result<gateway::IssuedKey> rotate(const std::string& kid, const gateway::Rotation& rotation) = 0;
  virtual Status change(const std::string& kid, const gateway::KeyWish& wish) = 0;
  // The kids that are revoked now.
  virtual Result<std::vector<std::string>> revoke(const std::string& kid, gateway::Children children) = 0;
  virtual Result<std::vector<gateway::KeyView>> list() = 0;
};

}  // namespace dormouse::cli
