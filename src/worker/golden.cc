#include "worker/golden.h"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/ids.h"
#include "base/unique_fd.h"

namespace dormouse::worker {
namespace {

constexpr std::string_view kMagic = "dormouse-golden-1";

// Called for each loaded object; the first is the program itself.
int collect_build_id(dl_phdr_info* info, std::size_t, void* out) {
  auto& id = *static_cast<std::string*>(out);
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& header = info->dlpi_phdr[i];
    if (header.p_type != PT_NOTE) continue;
    const auto* at = reinterpret_cast<const unsigned char*>(info->dlpi_addr + header.p_vaddr);
    const unsigned char* const end = at + header.p_memsz;
    while (at + sizeof(ElfW(Nhdr)) <= end) {
      ElfW(Nhdr) note{};
      std::memcpy(&note, at, sizeof note);
      const unsigned char* const name = at + sizeof note;
      const unsigned char* const data = name + ((note.n_namesz + 3U) & ~3U);
      if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && std::memcmp(name, "GNU", 4) == 0) {
        for (unsigned k = 0; k < note.n_descsz; ++k) id += fmt::format("{:02x}", data[k]);
        return 1;
      }
      at = data + ((note.n_descsz + 3U) & ~3U);
    }
  }
  return 1;  // only the program itself
}

std::string build_id() {
  std::string id;
  ::dl_iterate_phdr(collect_build_id, &id);
  return id;
}

std::string path_of(const std::string& directory, const std::string& key) {
  return directory + "/" + key;
}

}  // namespace

std::vector<sched::TokenId> golden_prompt(std::int32_t first_padding_id) {
  std::vector<sched::TokenId> out;
  for (std::int32_t i = 1; i <= kGoldenTokens; ++i) {
    out.push_back(static_cast<sched::TokenId>(std::int64_t{first_padding_id} * i / (kGoldenTokens + 1)));
  }
  return out;
}

Result<GoldenResult> golden_result(std::span<const float> rows, std::int32_t vocab_size) {
  const auto vocab = static_cast<std::size_t>(vocab_size);
  const std::size_t row_count = rows.size() / vocab;
  if (row_count == 0 || row_count > kGoldenTokens || rows.size() % vocab != 0) {
    return make_error(Code::kInternal, "golden: wrong number of rows");
  }
  GoldenResult out;
  for (std::size_t row = 0; row < row_count; ++row) {
    const std::span<const float> logits = rows.subspan(row * vocab, vocab);
    if (!std::all_of(logits.begin(), logits.end(), [](float x) { return std::isfinite(x); })) {
      return make_error(Code::kDataLoss, fmt::format("golden: row {} has a logit that is not finite", row));
    }
    out.argmax[row] = static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
    for (std::size_t k = 0; k < kGoldenLogits; ++k) {
      out.bits[row * kGoldenLogits + k] = std::bit_cast<std::uint32_t>(logits[vocab * k / kGoldenLogits]);
    }
  }
  return out;
}

bool begins_like(const GoldenResult& record, const GoldenResult& result, std::int32_t rows) {
  const auto bits = static_cast<std::ptrdiff_t>(rows) * static_cast<std::ptrdiff_t>(kGoldenLogits);
  return std::equal(result.argmax.begin(), result.argmax.begin() + rows, record.argmax.begin()) &&
         std::equal(result.bits.begin(), result.bits.begin() + bits, record.bits.begin());
}

Result<GoldenResult> run_golden(engine::Engine& engine, std::span<const sched::TokenId> prompt) {
  const std::array<sched::PageId, 1> pages{0};
  static_assert(kGoldenTokens <= sched::kPageTokens);
  sched::BatchPlan plan;
  sched::PlanEntry entry;
  entry.tokens = prompt;
  entry.prompt_length = static_cast<std::int32_t>(prompt.size());
  entry.pages = pages;
  entry.wants_logits = true;
  entry.wants_all_logits = true;
  plan.entries.push_back(entry);
  plan.token_count = kGoldenTokens;
  plan.logits_count = kGoldenTokens;
  std::array<GoldenResult, 2> runs;
  for (GoldenResult& run : runs) {
    TRY(const std::span<const float> logits, engine.step(plan));
    TRY(run, golden_result(logits, engine.config().vocab));
  }
  if (runs[0] != runs[1]) return make_error(Code::kDataLoss, "golden: two runs of the same tokens differ");
  return runs[0];
}

std::string golden_key(const MappedFile::Identity& file, const std::string& arithmetic) {
  return fmt::format("{:x}-{:x}-{:x}-{}-{}.golden", file.inode, file.size, static_cast<std::uint64_t>(file.mtime_ns),
                     arithmetic, build_id());
}

std::optional<GoldenResult> read_golden(const std::string& directory, const std::string& key) {
  std::ifstream in(path_of(directory, key));
  std::string magic;
  GoldenResult out;
  in >> magic;
  for (std::int32_t& value : out.argmax) in >> value;
  for (std::uint32_t& value : out.bits) in >> value;
  std::string end;
  in >> end;
  if (!in || magic != kMagic || end != "end") return std::nullopt;
  return out;
}

Status write_golden(const std::string& directory, const std::string& key, const GoldenResult& result) {
  std::string text(kMagic);
  for (const std::int32_t value : result.argmax) text += fmt::format(" {}", value);
  for (const std::uint32_t value : result.bits) text += fmt::format(" {}", value);
  text += " end\n";
  std::error_code ignored;  // what it means shows at open()
  std::filesystem::create_directories(directory, ignored);
  const std::string path = path_of(directory, key);
  const std::string partial = path + "." + random_hex(4);
  const UniqueFd fd(::open(partial.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd.is_open()) return errno_error("golden record " + partial, errno);
  const ssize_t written = ::write(fd.get(), text.data(), text.size());
  if (written != std::ssize(text) || ::rename(partial.c_str(), path.c_str()) != 0) {
    const Error error = errno_error("golden record " + path, errno);
    ::unlink(partial.c_str());
    return error;
  }
  return {};
}

}  // namespace dormouse::worker
