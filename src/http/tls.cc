#include "http/tls.h"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <boost/asio/ip/address.hpp>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>

#include "base/unique_fd.h"
#include "http/tls_session.h"

namespace dormouse::http {
namespace {

constexpr long kValidSeconds = 10L * 365 * 24 * 3600;
constexpr long kClockSkewSeconds = 24L * 3600;  // a worker's clock may be behind ours
constexpr std::size_t kMaxPemBytes = 64 * 1024;

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
using Bio = std::unique_ptr<BIO, decltype(&BIO_free_all)>;

Error openssl_failed(std::string_view what) {
  return make_error(Code::kInternal, "TLS: " + std::string(what) + " failed");
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

std::string subject_alternatives(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) {
    boost::system::error_code ec;
    const auto address = boost::asio::ip::make_address(name, ec);
    static_cast<void>(address);
    if (!out.empty()) out += ',';
    out += (ec ? "DNS:" : "IP:") + name;
  }
  return out;
}

Status name_certificate(X509* certificate, const std::vector<std::string>& names) {
  X509_NAME* const subject = X509_get_subject_name(certificate);
  const auto* const common = reinterpret_cast<const unsigned char*>("dormouse");
  if (X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, common, -1, -1, 0) != 1 ||
      X509_set_issuer_name(certificate, subject) != 1) {
    return openssl_failed("naming the certificate");
  }
  const std::string alternatives = subject_alternatives(names);
  if (alternatives.empty()) return {};
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, alternatives.c_str());
  if (extension == nullptr) {
    return make_error(Code::kInvalidArgument, "TLS: no names for a certificate: " + alternatives);
  }
  const int added = X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
  return added == 1 ? Status() : openssl_failed("naming the certificate");
}

// Random, positive, 64 bit: two certificates of one name are two serials, as RFC 5280 asks.
bool set_serial(X509* certificate) {
  std::array<unsigned char, 8> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) return false;
  std::uint64_t serial = 0;
  for (const unsigned char byte : bytes) serial = serial << 8U | byte;
  return ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1U | 1U) == 1;
}

Result<TlsIdentity> to_pem(X509* certificate, EVP_PKEY* key) {
  const Bio certificate_out(BIO_new(BIO_s_mem()), &BIO_free_all);
  const Bio key_out(BIO_new(BIO_s_mem()), &BIO_free_all);
  if (certificate_out == nullptr || key_out == nullptr || PEM_write_bio_X509(certificate_out.get(), certificate) != 1 ||
      PEM_write_bio_PrivateKey(key_out.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return openssl_failed("writing the certificate");
  }
  return TlsIdentity{text_of(certificate_out.get()), text_of(key_out.get()), fingerprint_of(certificate)};
}

Result<std::string> read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return errno_error(path, errno);
  std::string text(kMaxPemBytes, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

// Through a temporary name: a crash in between leaves the old file or the new one, never half a key.
Status write_text(const std::string& path, const std::string& text) {
  const std::string temporary = path + ".new";
  ::unlink(temporary.c_str());
  const UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd.is_open()) return errno_error(temporary, errno);
  const ssize_t written = ::write(fd.get(), text.data(), text.size());
  if (written < 0) return errno_error(temporary, errno);
  if (static_cast<std::size_t>(written) != text.size()) return make_error(Code::kInternal, temporary + ": short write");
  if (::fsync(fd.get()) != 0 || ::rename(temporary.c_str(), path.c_str()) != 0) return errno_error(path, errno);
  return {};
}

}  // namespace

Result<TlsIdentity> make_tls_identity(const std::vector<std::string>& names) {
  const Key key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
  if (key == nullptr) return openssl_failed("making a key");
  const Certificate certificate(X509_new(), &X509_free);
  if (certificate == nullptr || X509_set_version(certificate.get(), X509_VERSION_3) != 1 ||
      !set_serial(certificate.get()) || X509_set_pubkey(certificate.get(), key.get()) != 1 ||
      X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -kClockSkewSeconds) == nullptr ||
      X509_gmtime_adj(X509_getm_notAfter(certificate.get()), kValidSeconds) == nullptr) {
    return openssl_failed("making a certificate");
  }
  TRY_STATUS(name_certificate(certificate.get(), names));
  if (X509_sign(certificate.get(), key.get(), EVP_sha256()) == 0) return openssl_failed("signing a certificate");
  return to_pem(certificate.get(), key.get());
}

Result<TlsIdentity> keep_tls_identity(const std::string& directory, const std::string& name,
                                      const std::vector<std::string>& names) {
  const std::string certificate_path = directory + "/" + name + ".crt";
  const std::string key_path = directory + "/" + name + ".key";
  std::error_code ec;
  if (!std::filesystem::exists(certificate_path, ec)) {
    TRY(TlsIdentity made, make_tls_identity(names));
    std::filesystem::create_directories(directory, ec);
    ::chmod(directory.c_str(), S_IRWXU);
    // The certificate last: it is what the next start looks for.
    TRY_STATUS(write_text(key_path, made.key_pem));
    TRY_STATUS(write_text(certificate_path, made.certificate_pem));
    return made;
  }
  return load_tls_identity(certificate_path, key_path);
}

Result<TlsIdentity> load_tls_identity(const std::string& certificate_path, const std::string& key_path) {
  TlsIdentity out;
  TRY(out.certificate_pem, read_text(certificate_path));
  TRY(out.key_pem, read_text(key_path));
  const Bio in(BIO_new_mem_buf(out.certificate_pem.data(), static_cast<int>(out.certificate_pem.size())),
               &BIO_free_all);
  const Certificate certificate(in != nullptr ? PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr) : nullptr,
                                &X509_free);
  if (certificate == nullptr) return make_error(Code::kDataLoss, certificate_path + ": not a certificate");
  out.fingerprint = fingerprint_of(certificate.get());
  const Result<std::shared_ptr<TlsContext>> pair = TlsContext::server(out);
  if (!pair.has_value()) return make_error(Code::kDataLoss, key_path + ": not the key of " + certificate_path);
  return out;
}

Result<std::string> parse_fingerprint(std::string_view text) {
  constexpr std::string_view kPrefix = "sha256:";
  constexpr std::size_t kDigits = 64;
  const auto wrong = [] {
    return make_error(Code::kInvalidArgument, "fingerprint: sha256: and 64 hexadecimal digits are wanted");
  };
  if (!text.starts_with(kPrefix)) return wrong();
  std::string out(kPrefix);
  for (char c : text.substr(kPrefix.size())) {
    if (c == ':') continue;  // as openssl prints it
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
    if ((c < '0' || c > '9') && (c < 'a' || c > 'f')) return wrong();
    out.push_back(c);
  }
  if (out.size() != kPrefix.size() + kDigits) return wrong();
  return out;
}

bool has_bearer(const Headers& headers, std::string_view token) {
  constexpr std::string_view kScheme = "Bearer ";
  const std::string_view given = headers.find("authorization").value_or("");
  if (token.empty() || given.size() != kScheme.size() + token.size()) return false;
  if (!equals_ignoring_case(given.substr(0, kScheme.size()), kScheme)) return false;
  return CRYPTO_memcmp(given.data() + kScheme.size(), token.data(), token.size()) == 0;
}

}  // namespace dormouse::http
