// A listening socket as a file descriptor that is waited on: Unix and TCP alike. Internal to http.
#pragma once

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "http/message.h"

namespace dormouse::http {

struct BoundSocket {
  UniqueFd fd;
  Address address;  // port filled in
  int family = 0;
};

// A stale Unix socket file is replaced. Mode of Unix sockets: 0600.
// Errors: kAlreadyExists (in use; or a file that is no socket), kInvalidArgument (name), kPermissionDenied.
[[nodiscard]] Result<BoundSocket> bind_and_listen(const Address& address);

}  // namespace dormouse::http
