#include "ledger/power_cut_vfs.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace dormouse::ledger {
namespace {

constexpr std::int64_t kSector = 512;

PowerCutDisk* disk = nullptr;  // SQLite's functions have no other way to know
sqlite3_vfs vfs;
sqlite3_vfs* usual = nullptr;

struct OpenFile {
  sqlite3_file base;  // first: SQLite knows only this part
  PowerCutDisk::File* file;
  std::vector<std::string>* shared;  // the WAL's index: memory of the one process
};

OpenFile& of(sqlite3_file* file) {
  return *reinterpret_cast<OpenFile*>(file);
}

void change_bytes(std::string& bytes, const PowerCutDisk::Change& change) {
  const auto offset = static_cast<std::size_t>(change.offset);
  if (change.is_truncation) {
    bytes.resize(offset, '\0');
    return;
  }
  if (bytes.size() < offset + change.bytes.size()) bytes.resize(offset + change.bytes.size(), '\0');
  bytes.replace(offset, change.bytes.size(), change.bytes);
}

int make_change(OpenFile& open, PowerCutDisk::Change change) {
  if (!disk->spend()) return SQLITE_IOERR_WRITE;
  change_bytes(open.file->now, change);
  open.file->pending.push_back(std::move(change));
  return SQLITE_OK;
}

int close_file(sqlite3_file* file) {
  delete of(file).shared;
  return SQLITE_OK;
}
int read_file(sqlite3_file* file, void* out, int count, sqlite3_int64 offset) {
  const std::string& bytes = of(file).file->now;
  const auto begin = std::min<std::size_t>(static_cast<std::size_t>(offset), bytes.size());
  const std::size_t there = std::min(bytes.size() - begin, static_cast<std::size_t>(count));
  std::memcpy(out, bytes.data() + begin, there);
  std::memset(static_cast<char*>(out) + there, 0, static_cast<std::size_t>(count) - there);
  return there == static_cast<std::size_t>(count) ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}
int write_file(sqlite3_file* file, const void* data, int count, sqlite3_int64 offset) {
  return make_change(of(file),
                     {false, offset, std::string(static_cast<const char*>(data), static_cast<std::size_t>(count))});
}
int truncate_file(sqlite3_file* file, sqlite3_int64 size) {
  return make_change(of(file), {true, size, {}});
}
int sync_file(sqlite3_file* file, int) {
  if (!disk->spend()) return SQLITE_IOERR_FSYNC;
  PowerCutDisk::File& known = *of(file).file;
  known.on_disk = known.now;
  known.pending.clear();
  return SQLITE_OK;
}
int size_of(sqlite3_file* file, sqlite3_int64* size) {
  *size = static_cast<sqlite3_int64>(of(file).file->now.size());
  return SQLITE_OK;
}
int lock_file(sqlite3_file*, int) {
  return SQLITE_OK;
}
int is_reserved(sqlite3_file*, int* out) {
  *out = 0;
  return SQLITE_OK;
}
int control(sqlite3_file*, int, void*) {
  return SQLITE_NOTFOUND;
}
int sector_size(sqlite3_file*) {
  return static_cast<int>(kSector);
}
int characteristics(sqlite3_file*) {
  return 0;
}  // nothing is promised: no atomic writes, no order
int map_shared(sqlite3_file* file, int page, int size, int, void volatile** out) {
  std::vector<std::string>& pages = *of(file).shared;
  while (pages.size() <= static_cast<std::size_t>(page)) pages.emplace_back(static_cast<std::size_t>(size), '\0');
  *out = pages[static_cast<std::size_t>(page)].data();
  return SQLITE_OK;
}
int lock_shared(sqlite3_file*, int, int, int) {
  return SQLITE_OK;
}
void barrier(sqlite3_file*) {}
int unmap_shared(sqlite3_file* file, int) {
  of(file).shared->clear();
  return SQLITE_OK;
}

const sqlite3_io_methods kMethods = {2,         close_file,   read_file,       write_file, truncate_file,
                                     sync_file, size_of,      lock_file,       lock_file,  is_reserved,
                                     control,   sector_size,  characteristics, map_shared, lock_shared,
                                     barrier,   unmap_shared, nullptr,         nullptr};

int open_file(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  OpenFile& open = of(file);
  open.base.pMethods = &kMethods;
  open.file = &disk->files[name != nullptr ? name : "temporary"];
  open.shared = new std::vector<std::string>();
  // SQLite keeps pointers into the pages: they must not move when more are mapped.
  open.shared->reserve(1'024);
  if (out_flags != nullptr) *out_flags = flags;
  return SQLITE_OK;
}
int delete_file(sqlite3_vfs*, const char* name, int) {
  if (!disk->spend()) return SQLITE_IOERR_DELETE;
  disk->files.erase(name);
  return SQLITE_OK;
}
int access_file(sqlite3_vfs*, const char* name, int, int* out) {
  *out = disk->files.contains(name) ? 1 : 0;
  return SQLITE_OK;
}
int full_path(sqlite3_vfs*, const char* name, int size, char* out) {
  sqlite3_snprintf(size, out, "%s", name);
  return SQLITE_OK;
}

// What of a write reached the platters: all, nothing, or some of its sectors.
void survive(std::string& bytes, const PowerCutDisk::Change& change, std::mt19937_64& random) {
  switch (random() % 4) {
    case 0: return;
    case 1: return change_bytes(bytes, change);
    default: break;
  }
  if (change.is_truncation) return;
  const auto count = static_cast<std::int64_t>(change.bytes.size());
  std::int64_t done = 0;
  while (done < count) {
    const std::int64_t at = change.offset + done;
    const std::int64_t piece = std::min(count - done, kSector - at % kSector);
    const std::string part = change.bytes.substr(static_cast<std::size_t>(done), static_cast<std::size_t>(piece));
    if (random() % 2 == 0) change_bytes(bytes, {false, at, part});
    done += piece;
  }
}

}  // namespace

PowerCutDisk::PowerCutDisk() {
  disk = this;
  usual = sqlite3_vfs_find(nullptr);
  vfs = *usual;  // time and randomness are the machine's
  vfs.pNext = nullptr;
  vfs.zName = "power_cut";
  vfs.szOsFile = sizeof(OpenFile);
  vfs.xOpen = open_file;
  vfs.xDelete = delete_file;
  vfs.xAccess = access_file;
  vfs.xFullPathname = full_path;
  sqlite3_vfs_register(&vfs, 1);
}

PowerCutDisk::~PowerCutDisk() {
  sqlite3_vfs_unregister(&vfs);
  sqlite3_vfs_register(usual, 1);
  disk = nullptr;
}

void PowerCutDisk::start(Image image, std::int64_t operations_until_cut) {
  files.clear();
  for (auto& [path, bytes] : image) {
    File& file = files[path];
    file.now = bytes;
    file.on_disk = std::move(bytes);
  }
  left_ = operations_until_cut;
  operations_ = 0;
}

bool PowerCutDisk::spend() {
  if (left_ == 0) return false;
  if (left_ > 0) --left_;
  ++operations_;
  return true;
}

PowerCutDisk::Image PowerCutDisk::after_cut(std::mt19937_64& random) const {
  Image out;
  for (const auto& [path, file] : files) {
    std::string bytes = file.on_disk;
    for (const Change& change : file.pending) survive(bytes, change, random);
    if (!bytes.empty()) out[path] = std::move(bytes);
  }
  return out;
}

PowerCutDisk::Image PowerCutDisk::synced() const {
  Image out;
  for (const auto& [path, file] : files) out[path] = file.now;
  return out;
}

}  // namespace dormouse::ledger
