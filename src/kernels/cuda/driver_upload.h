// Copies from pageable memory at the bus's speed: threads fill pinned pieces, the card fetches them. The driver alone
// does it through one such piece, at a fifth of what PCIe 5 carries.
#pragma once

#include <span>

#include "base/result.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/driver_api.h"

namespace dormouse::cuda {

// Returns when all is there. Threads: `threads` of its own, fewer where there are fewer pieces. Errors: kOverloaded (no
// pinned memory), the driver's.
Status upload_pieces(const driver::Api& api, driver::Context context, std::span<const Upload> uploads, int threads);

}  // namespace dormouse::cuda
