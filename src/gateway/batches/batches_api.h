// /v1/files and /v1/batches. What a key made, only that key sees. Threads: the loop's.
#pragma once

#include "gateway/batches/batch_runner.h"
#include "gateway/batches/file_store.h"
#include "gateway/call.h"
#include "gateway/router.h"

namespace dormouse::gateway {

class BatchesApi {
 public:
  // Borrows everything.
  BatchesApi(const Clock& clock, FileStore& files, BatchRunner& batches)
      : clock_(clock), files_(files), batches_(batches) {}

  void add_routes(Router& router);

 private:
  Task<void> upload(Call& call);
  Task<void> list_files(Call& call);
  Task<void> get_file(Call& call);
  Task<void> remove_file(Call& call);
  Task<void> file_content(Call& call);
  Task<void> create_batch(Call& call);
  Task<void> list_batches(Call& call);
  Task<void> get_batch(Call& call);
  Task<void> cancel_batch(Call& call);
  // Null: there is none, for this caller.
  [[nodiscard]] const StoredFile* file_of(const Call& call, const std::string& id) const;
  [[nodiscard]] const Batch* batch_of(const Call& call, const std::string& id) const;

  const Clock& clock_;
  FileStore& files_;
  BatchRunner& batches_;
};

}  // namespace dormouse::gateway
