// TLS as this tree uses it: 1.3 (1.2 at least), both ends known by the fingerprint of a certificate that each made
// itself, or, towards the servers of others, by a CA file; the front door shows what its operator's CA signed. Whom to
// trust stands in Address::tls (message.h). Threads: any; plain values.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/message.h"

namespace dormouse::http {

// What a server shows and proves.
struct TlsIdentity {
  std::string certificate_pem;
  std::string key_pem;      // secret
  std::string fingerprint;  // "sha256:" and 64 lowercase hex digits, of the certificate's DER
};

// ECDSA P-256, for ten years: it is trusted by its fingerprint, so that its date protects nobody. `names`: host names
// and addresses it stands for (SAN).
[[nodiscard]] Result<TlsIdentity> make_tls_identity(const std::vector<std::string>& names);
// The identity kept in directory/NAME.crt and NAME.key (mode 0600), made at the first call. Blocking.
// Errors: kDataLoss (files there that are no certificate and key), kPermissionDenied and other errors of the disk.
[[nodiscard]] Result<TlsIdentity> keep_tls_identity(const std::string& directory, const std::string& name,
                                                    const std::vector<std::string>& names);
// A certificate of others: PEM files, the chain's further certificates behind the first. Blocking.
// Errors: kDataLoss (no certificate, no key, or not the key of that certificate), kNotFound, kPermissionDenied and
// other errors of the disk.
[[nodiscard]] Result<TlsIdentity> load_tls_identity(const std::string& certificate_path, const std::string& key_path);
// "sha256:HEX" in the form TlsIdentity has it. Errors: kInvalidArgument.
[[nodiscard]] Result<std::string> parse_fingerprint(std::string_view text);

// Whether a request carries `Authorization: Bearer TOKEN`. Takes as long for a wrong token as for the right one of the
// same length. An empty token is nobody's.
[[nodiscard]] bool has_bearer(const Headers& headers, std::string_view token);

}  // namespace dormouse::http
