// Loss and gradient of model.py's network for one batch, and Muon's orthogonalisation, on the AMX tiles of two cores.
//
// Each thread takes a few windows at a time through the whole network and back, so that their activations stay in its
// cache and the threads meet once a batch. Factors of products are bfloat16; everything else is float32, as in torch.
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "amx.h"

namespace {

using amx::bf16;

struct Shape {
  std::int32_t vocab, width, layers, heads, kv_heads, head_dim, ffn;
  float eps, theta;
};

// Parameters in the order of model.named_parameters(): the embedding, these for each layer, the last norm.
enum { kAttnNorm, kFfnNorm, kQNorm, kKNorm, kQ, kK, kV, kOut, kGate, kUp, kDown, kPerLayer };

// Memory that is handed out upwards and taken back all at once; pages that are never used cost nothing.
class Arena {
 public:
  Arena() {
    void* got = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (got == MAP_FAILED) std::abort();
    madvise(got, kSize, MADV_HUGEPAGE);
    base_ = static_cast<char*>(got);
  }
  ~Arena() { munmap(base_, kSize); }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  float* floats(std::size_t n) { return static_cast<float*>(take(4 * n)); }
  bf16* halves(std::size_t n) { return static_cast<bf16*>(take(2 * n)); }
  std::size_t mark() const { return used_; }
  void release(std::size_t mark) { used_ = mark; }

 private:
  static constexpr std::size_t kSize = std::size_t{1} << 31;
  void* take(std::size_t bytes) {
    void* at = base_ + used_;
    used_ += (bytes + 4159) / 4096 * 4096 + 64;  // not all at the same place of a page: they would share cache sets
    if (used_ > kSize) std::abort();
    return at;
  }
  char* base_ = nullptr;
  std::size_t used_ = 0;
};

// A weight [out][in], packed for y = x W^T and for dx = dy W.
struct Linear {
  int out = 0, in = 0;
  std::vector<bf16> forward, backward;

  void pack(const float* w, int rows, int columns) {
    out = rows;
    in = columns;
    forward.resize(static_cast<std::size_t>(out) * in);
    backward.resize(forward.size());
    amx::pack_right_t(forward.data(), w, in, out, in);
    amx::pack_right(backward.data(), w, in, in, out);
  }
};

template <class Work>
void on_threads(int threads, int count, const Work& work) {
  std::atomic<int> next{0};
  const auto loop = [&](int thread) {
    amx::configure_thread();
    for (int i = next++; i < count; i = next++) work(thread, i);
  };
  std::vector<std::thread> pool;
  for (int t = 1; t < threads; ++t) pool.emplace_back(loop, t);
  loop(0);
  for (std::thread& t : pool) t.join();
}

struct Model {
  Shape s{};
  const float* const* weights = nullptr;
  std::vector<std::size_t> size, offset;  // of each parameter, in floats
  std::vector<Linear> linear;             // kQ .. kDown of each layer, then the embedding

  const float* weight(int layer, int which) const { return weights[1 + layer * kPerLayer + which]; }
  const Linear& matrix(int layer, int which) const { return linear[layer * (kPerLayer - kQ) + which - kQ]; }
  const Linear& vocabulary() const { return linear.back(); }
  int last() const { return 1 + s.layers * kPerLayer; }

  void load(const Shape& shape, const float* const* from, int threads) {
    s = shape;
    weights = from;
    const int q = s.heads * s.head_dim, kv = s.kv_heads * s.head_dim;
    const int rows[] = {q, kv, kv, s.width, s.ffn, s.ffn, s.width}, columns[] = {s.width, s.width, s.width, q, s.width, s.width, s.ffn};
    size = {static_cast<std::size_t>(s.vocab) * s.width};
    for (int l = 0; l < s.layers; ++l) {
      for (int n : {s.width, s.width, s.head_dim, s.head_dim}) size.push_back(n);
      for (int i = 0; i < kPerLayer - kQ; ++i) size.push_back(static_cast<std::size_t>(rows[i]) * columns[i]);
    }
    size.push_back(s.width);
    offset.assign(1, 0);
    for (std::size_t n : size) offset.push_back(offset.back() + n);
    constexpr int kMatrices = kPerLayer - kQ;
    linear.resize(s.layers * kMatrices + 1);
    on_threads(threads, static_cast<int>(linear.size()), [&](int, int i) {
      if (i == s.layers * kMatrices) return linear[i].pack(weights[0], s.vocab, s.width);
      linear[i].pack(weight(i / kMatrices, kQ + i % kMatrices), rows[i % kMatrices], columns[i % kMatrices]);
    });
  }
};

// y = x / rms(x) * w over rows of n; r keeps 1 / rms.
void norm(float* y, float* r, const float* x, const float* w, int rows, int n, float eps) {
  for (int i = 0; i < rows; ++i, x += n, y += n) {
    float sum = 0;
    for (int j = 0; j < n; ++j) sum += x[j] * x[j];
    r[i] = 1 / std::sqrt(sum / n + eps);
    for (int j = 0; j < n; ++j) y[j] = x[j] * r[i] * w[j];
  }
}

// dx += the gradient through norm; dw += its own. `dy` is overwritten where dx == dy is wanted: then `dx` is set, not added to.
template <bool add>
void norm_back(float* dx, float* dw, const float* dy, const float* x, const float* r, const float* w, int rows, int n) {
  for (int i = 0; i < rows; ++i, x += n, dy += n, dx += n) {
    float dot = 0;
    for (int j = 0; j < n; ++j) {
      dot += dy[j] * w[j] * x[j];
      dw[j] += dy[j] * x[j] * r[i];
    }
    dot *= r[i] * r[i] / n;
    for (int j = 0; j < n; ++j) dx[j] = (add ? dx[j] : 0) + r[i] * (dy[j] * w[j] - x[j] * dot);
  }
}

// One thread's way through the network with a few windows.
class Pass {
 public:
  // Clears the thread's own gradient.
  void begin(const Model& model, bool learn) {
    m_ = &model;
    s_ = model.s;
    if (learn) gradient.assign(model.offset.back(), 0);
    loss = 0;
  }

  // `scale`: of the loss, one over the number of learned positions of the whole batch.
  void run(const std::int32_t* ids, const std::int32_t* targets, const std::uint8_t* learned, int windows, int length, float scale,
           bool learn) {
    arena_.release(0);
    n_ = windows * length;
    length_ = length;
    rope_table();
    layers_.assign(s_.layers, {});
    float* x = arena_.floats(static_cast<std::size_t>(n_) * s_.width);
    for (int i = 0; i < n_; ++i) std::memcpy(x + i * s_.width, m_->weights[0] + static_cast<std::size_t>(ids[i]) * s_.width, 4 * s_.width);
    for (int l = 0; l < s_.layers; ++l) x = forward(l, x);
    float* h = arena_.floats(static_cast<std::size_t>(n_) * s_.width);
    float* r = arena_.floats(n_);
    norm(h, r, x, m_->weights[m_->last()], n_, s_.width, s_.eps);
    vocabulary(h, targets, learned, scale, learn);  // h becomes its own gradient
    if (!learn) return;
    float* dx = arena_.floats(static_cast<std::size_t>(n_) * s_.width);
    norm_back<false>(dx, gradient.data() + m_->offset[m_->last()], h, x, r, m_->weights[m_->last()], n_, s_.width);
    for (int l = s_.layers - 1; l >= 0; --l) backward(l, dx);
    for (int i = 0; i < n_; ++i) {
      float* g = gradient.data() + static_cast<std::size_t>(ids[i]) * s_.width;
      for (int j = 0; j < s_.width; ++j) g[j] += dx[i * s_.width + j];
    }
  }

  std::vector<float> gradient;
  double loss = 0;  // summed over learned positions

 private:
  struct Kept {
    float *x, *r1, *h1, *q, *k, *v, *rq, *rk, *turned_q, *turned_k, *p, *y, *x1, *r2, *h2, *gate, *up;
  };
  static constexpr int kBlock = 128;  // query rows at a time: keys after the last of them are not looked at

  float* rows(int columns) { return arena_.floats(static_cast<std::size_t>(n_) * columns); }
  float* grad(int layer, int which) { return gradient.data() + m_->offset[1 + layer * kPerLayer + which]; }

  void rope_table() {
    const int half = s_.head_dim / 2;
    cos_.resize(length_ * half);
    sin_.resize(length_ * half);
    for (int i = 0; i < length_ * half; ++i) {
      const double angle = (i / half) * std::pow(static_cast<double>(s_.theta), -2.0 * (i % half) / s_.head_dim);
      cos_[i] = static_cast<float>(std::cos(angle));
      sin_[i] = static_cast<float>(std::sin(angle));
    }
  }

  // Turns the pairs (j, j + half) of each head by the position's angle, or back.
  void turn(float* x, int heads, bool back) const {
    const int half = s_.head_dim / 2;
    const float sign = back ? -1 : 1;
    for (int i = 0; i < n_; ++i) {
      const float* c = &cos_[i % length_ * half];
      const float* s = &sin_[i % length_ * half];
      for (int h = 0; h < heads; ++h, x += s_.head_dim) {
        for (int j = 0; j < half; ++j) {
          const float a = x[j], b = x[j + half];
          x[j] = a * c[j] - sign * b * s[j];
          x[j + half] = b * c[j] + sign * a * s[j];
        }
      }
    }
  }

  const bf16* packed(const float* x, int columns) {
    bf16* out = arena_.halves(static_cast<std::size_t>(n_) * columns);
    amx::pack_left(out, x, columns, n_, columns);
    return out;
  }

  void apply(float* y, const bf16* x, const Linear& w, bool add = false) const {
    amx::multiply(y, w.out, x, w.in / 32, w.forward.data(), w.in / 32, n_, w.out, w.in, add);
  }

  // dx (=, += with add) dy W;  dw += dy^T x.
  void apply_back(float* dx, bool add, float* dw, const float* dy, const float* x, const Linear& w) {
    const std::size_t mark = arena_.mark();
    amx::multiply(dx, w.in, packed(dy, w.out), w.out / 32, w.backward.data(), w.out / 32, n_, w.in, w.out, add);
    bf16* left = arena_.halves(static_cast<std::size_t>(n_) * w.out);
    bf16* right = arena_.halves(static_cast<std::size_t>(n_) * w.in);
    amx::pack_left_t(left, dy, w.out, w.out, n_);
    amx::pack_right(right, x, w.in, w.in, n_);
    amx::multiply(dw, w.in, left, n_ / 32, right, n_ / 32, w.out, w.in, n_, true);
    arena_.release(mark);
  }

  float* forward(int l, float* x);
  void backward(int l, float* dx);
  void attention(Kept& a);
  void attention_back(const Kept& a, const float* dy, float* dq, float* dk, float* dv);
  void vocabulary(float* h, const std::int32_t* targets, const std::uint8_t* learned, float scale, bool learn);

  const Model* m_ = nullptr;
  Shape s_{};
  Arena arena_;
  std::vector<Kept> layers_;
  std::vector<float> cos_, sin_;
  int n_ = 0, length_ = 0;
};

float* Pass::forward(int l, float* x) {
  const int q = s_.heads * s_.head_dim, kv = s_.kv_heads * s_.head_dim;
  Kept& a = layers_[l];
  a = {x, arena_.floats(n_), rows(s_.width), rows(q), rows(kv), rows(kv), rows(s_.heads), rows(s_.kv_heads), rows(q), rows(kv),
       rows(s_.heads * length_), rows(q), rows(s_.width), arena_.floats(n_), rows(s_.width), rows(s_.ffn), rows(s_.ffn)};
  float* out = rows(s_.width);
  const std::size_t mark = arena_.mark();
  norm(a.h1, a.r1, x, m_->weight(l, kAttnNorm), n_, s_.width, s_.eps);
  const bf16* h = packed(a.h1, s_.width);
  apply(a.q, h, m_->matrix(l, kQ));
  apply(a.k, h, m_->matrix(l, kK));
  apply(a.v, h, m_->matrix(l, kV));
  norm(a.turned_q, a.rq, a.q, m_->weight(l, kQNorm), n_ * s_.heads, s_.head_dim, s_.eps);
  norm(a.turned_k, a.rk, a.k, m_->weight(l, kKNorm), n_ * s_.kv_heads, s_.head_dim, s_.eps);
  turn(a.turned_q, s_.heads, false);
  turn(a.turned_k, s_.kv_heads, false);
  attention(a);
  std::memcpy(a.x1, x, 4UL * n_ * s_.width);
  apply(a.x1, packed(a.y, q), m_->matrix(l, kOut), true);
  norm(a.h2, a.r2, a.x1, m_->weight(l, kFfnNorm), n_, s_.width, s_.eps);
  h = packed(a.h2, s_.width);
  apply(a.gate, h, m_->matrix(l, kGate));
  apply(a.up, h, m_->matrix(l, kUp));
  float* inner = rows(s_.ffn);
  for (int i = 0; i < n_ * s_.ffn; ++i) inner[i] = a.gate[i] / (1 + expf(-a.gate[i])) * a.up[i];
  std::memcpy(out, a.x1, 4UL * n_ * s_.width);
  apply(out, packed(inner, s_.ffn), m_->matrix(l, kDown), true);
  arena_.release(mark);
  return out;
}

void Pass::backward(int l, float* dx) {
  const int q = s_.heads * s_.head_dim, kv = s_.kv_heads * s_.head_dim;
  const Kept& a = layers_[l];
  const std::size_t mark = arena_.mark();
  float *inner = rows(s_.ffn), *dinner = rows(s_.ffn), *dgate = rows(s_.ffn), *dh = rows(s_.width);
  for (int i = 0; i < n_ * s_.ffn; ++i) inner[i] = a.gate[i] / (1 + expf(-a.gate[i])) * a.up[i];
  apply_back(dinner, false, grad(l, kDown), dx, inner, m_->matrix(l, kDown));
  float* dup = inner;
  for (int i = 0; i < n_ * s_.ffn; ++i) {
    const float g = a.gate[i], sigma = 1 / (1 + expf(-g)), d = dinner[i];
    dup[i] = d * g * sigma;
    dgate[i] = d * a.up[i] * sigma * (1 + g * (1 - sigma));
  }
  apply_back(dh, false, grad(l, kGate), dgate, a.h2, m_->matrix(l, kGate));
  apply_back(dh, true, grad(l, kUp), dup, a.h2, m_->matrix(l, kUp));
  norm_back<true>(dx, grad(l, kFfnNorm), dh, a.x1, a.r2, m_->weight(l, kFfnNorm), n_, s_.width);

  float *dy = rows(q), *dq = rows(q), *dk = rows(kv), *dv = rows(kv);
  apply_back(dy, false, grad(l, kOut), dx, a.y, m_->matrix(l, kOut));
  attention_back(a, dy, dq, dk, dv);
  turn(dq, s_.heads, true);
  turn(dk, s_.kv_heads, true);
  norm_back<false>(dq, grad(l, kQNorm), dq, a.q, a.rq, m_->weight(l, kQNorm), n_ * s_.heads, s_.head_dim);
  norm_back<false>(dk, grad(l, kKNorm), dk, a.k, a.rk, m_->weight(l, kKNorm), n_ * s_.kv_heads, s_.head_dim);
  apply_back(dh, false, grad(l, kQ), dq, a.h1, m_->matrix(l, kQ));
  apply_back(dh, true, grad(l, kK), dk, a.h1, m_->matrix(l, kK));
  apply_back(dh, true, grad(l, kV), dv, a.h1, m_->matrix(l, kV));
  norm_back<true>(dx, grad(l, kAttnNorm), dh, a.x, a.r1, m_->weight(l, kAttnNorm), n_, s_.width);
  arena_.release(mark);
}

void Pass::attention(Kept& a) {
  const int d = s_.head_dim, q = s_.heads * d, kv = s_.kv_heads * d, t = length_;
  const float scale = 1 / std::sqrt(static_cast<float>(d));
  const std::size_t mark = arena_.mark();
  bf16 *keys = arena_.halves(t * d), *values = arena_.halves(t * d), *left = arena_.halves(static_cast<std::size_t>(kBlock) * t);
  for (int at = 0; at < n_; at += t) {
    for (int h = 0; h < s_.heads; ++h) {
      const int g = h * s_.kv_heads / s_.heads * d;
      amx::pack_right_t(keys, a.turned_k + at * kv + g, kv, t, d);
      amx::pack_right(values, a.v + at * kv + g, kv, d, t);
      float* p = a.p + (static_cast<std::size_t>(at) * s_.heads + static_cast<std::size_t>(h) * t) * t;
      for (int from = 0; from < t; from += kBlock) {
        const int n = from + kBlock;
        float* block = p + static_cast<std::size_t>(from) * t;
        amx::pack_left(left, a.turned_q + (at + from) * q + h * d, q, kBlock, d);
        amx::multiply(block, t, left, d / 32, keys, d / 32, kBlock, n, d, false);
        for (int i = 0; i < kBlock; ++i) {
          float* row = block + static_cast<std::size_t>(i) * t;
          const int seen = from + i + 1;
          float top = row[0], sum = 0;
          for (int j = 1; j < seen; ++j) top = std::max(top, row[j]);
          for (int j = 0; j < seen; ++j) sum += row[j] = expf((row[j] - top) * scale);
          for (int j = 0; j < seen; ++j) row[j] /= sum;
          std::fill(row + seen, row + n, 0.0F);
        }
        amx::pack_left(left, block, t, kBlock, n);
        amx::multiply(a.y + (at + from) * q + h * d, q, left, n / 32, values, t / 32, kBlock, d, n, false);
      }
    }
  }
  arena_.release(mark);
}

void Pass::attention_back(const Kept& a, const float* dy, float* dq, float* dk, float* dv) {
  const int d = s_.head_dim, q = s_.heads * d, kv = s_.kv_heads * d, t = length_;
  const float scale = 1 / std::sqrt(static_cast<float>(d));
  const std::size_t mark = arena_.mark();
  bf16 *keys = arena_.halves(t * d), *values = arena_.halves(t * d), *left = arena_.halves(static_cast<std::size_t>(kBlock) * t);
  bf16* right = arena_.halves(kBlock * d);
  float* ds = arena_.floats(static_cast<std::size_t>(kBlock) * t);
  std::fill(dk, dk + n_ * kv, 0.0F);
  std::fill(dv, dv + n_ * kv, 0.0F);
  for (int at = 0; at < n_; at += t) {
    for (int h = 0; h < s_.heads; ++h) {
      const int g = h * s_.kv_heads / s_.heads * d;
      amx::pack_right(keys, a.turned_k + at * kv + g, kv, d, t);
      amx::pack_right_t(values, a.v + at * kv + g, kv, t, d);
      const float* p = a.p + (static_cast<std::size_t>(at) * s_.heads + static_cast<std::size_t>(h) * t) * t;
      for (int from = 0; from < t; from += kBlock) {
        const int n = from + kBlock;
        const float* block = p + static_cast<std::size_t>(from) * t;
        const std::ptrdiff_t here = static_cast<std::ptrdiff_t>(at + from) * q + h * d;
        amx::pack_left(left, dy + here, q, kBlock, d);
        amx::multiply(ds, t, left, d / 32, values, d / 32, kBlock, n, d, false);
        for (int i = 0; i < kBlock; ++i) {
          float* row = ds + static_cast<std::size_t>(i) * t;
          const float* pr = block + static_cast<std::size_t>(i) * t;
          float dot = 0;
          for (int j = 0; j < n; ++j) dot += pr[j] * row[j];
          for (int j = 0; j < n; ++j) row[j] = pr[j] * (row[j] - dot) * scale;
        }
        amx::pack_right(right, dy + here, q, d, kBlock);
        amx::pack_left_t(left, block, t, n, kBlock);
        amx::multiply(dv + at * kv + g, kv, left, kBlock / 32, right, kBlock / 32, n, d, kBlock, true);
        amx::pack_right(right, a.turned_q + here, q, d, kBlock);
        amx::pack_left_t(left, ds, t, n, kBlock);
        amx::multiply(dk + at * kv + g, kv, left, kBlock / 32, right, kBlock / 32, n, d, kBlock, true);
        amx::pack_left(left, ds, t, kBlock, n);
        amx::multiply(dq + here, q, left, n / 32, keys, t / 32, kBlock, d, n, false);
      }
    }
  }
  arena_.release(mark);
}

// Cross-entropy of the learned positions; h becomes the gradient of h, with zeros where nothing is learned.
void Pass::vocabulary(float* h, const std::int32_t* targets, const std::uint8_t* learned, float scale, bool learn) {
  constexpr int kRows = 256;
  const int w = s_.width, v = s_.vocab;
  const Linear& e = m_->vocabulary();
  std::vector<int> at;
  for (int i = 0; i < n_; ++i) {
    if (learned[i]) at.push_back(i);
  }
  const std::size_t mark = arena_.mark();
  float *logits = arena_.floats(static_cast<std::size_t>(kRows) * v), *some = arena_.floats(kRows * w), *dsome = arena_.floats(kRows * w);
  float* dh = rows(w);
  std::fill(dh, dh + n_ * w, 0.0F);
  bf16 *left = arena_.halves(static_cast<std::size_t>(kRows) * v), *right = arena_.halves(kRows * w);
  for (std::size_t from = 0; from < at.size(); from += kRows) {
    const int n = static_cast<int>(std::min<std::size_t>(kRows, at.size() - from)), full = (n + 31) / 32 * 32;
    std::fill(some, some + full * w, 0.0F);
    for (int i = 0; i < n; ++i) std::memcpy(some + i * w, h + at[from + i] * w, 4 * w);
    amx::pack_left(left, some, w, full, w);
    amx::multiply(logits, v, left, w / 32, e.forward.data(), w / 32, full, v, w, false);
    for (int i = 0; i < full; ++i) {
      float* row = logits + static_cast<std::size_t>(i) * v;
      if (i >= n) {
        std::fill(row, row + v, 0.0F);
        continue;
      }
      const int target = targets[at[from + i]];
      const float wanted = row[target];
      float top = row[0], sum = 0;
      for (int j = 1; j < v; ++j) top = std::max(top, row[j]);
      for (int j = 0; j < v; ++j) sum += row[j] = expf(row[j] - top);
      loss += std::log(sum) + top - wanted;
      const float factor = scale / sum;
      for (int j = 0; j < v; ++j) row[j] *= factor;
      row[target] -= scale;
    }
    if (!learn) continue;
    amx::pack_left(left, logits, v, full, v);
    amx::multiply(dsome, w, left, v / 32, e.backward.data(), v / 32, full, w, v, false);
    for (int i = 0; i < n; ++i) std::memcpy(dh + at[from + i] * w, dsome + i * w, 4 * w);
    amx::pack_left_t(left, logits, v, v, full);
    amx::pack_right(right, some, w, w, full);
    amx::multiply(gradient.data(), w, left, full / 32, right, full / 32, v, w, full, true);
  }
  std::memcpy(h, dh, 4UL * n_ * w);
  arena_.release(mark);
}

// Newton-Schulz towards the nearest matrix whose singular values are all one; x is [rows][columns] with rows <= columns.
void newton_schulz(float* x, int r, int c, Arena& arena) {
  const std::size_t mark = arena.mark();
  float *a = arena.floats(r * r), *b = arena.floats(r * r);
  bf16 *left = arena.halves(r * c), *right = arena.halves(r * c);
  float sum = 0;
  for (int i = 0; i < r * c; ++i) sum += x[i] * x[i];
  const float inverse = 1 / (std::sqrt(sum) + 1e-7F);
  for (int i = 0; i < r * c; ++i) x[i] *= inverse;
  for (int step = 0; step < 5; ++step) {
    amx::pack_left(left, x, c, r, c);
    amx::pack_right_t(right, x, c, r, c);
    amx::multiply(a, r, left, c / 32, right, c / 32, r, r, c, false);
    amx::pack_left(left, a, r, r, r);
    amx::pack_right(right, a, r, r, r);
    amx::multiply(b, r, left, r / 32, right, r / 32, r, r, r, false);
    for (int i = 0; i < r * r; ++i) b[i] = -4.7750F * a[i] + 2.0315F * b[i];
    amx::pack_left(left, b, r, r, r);
    amx::pack_right(right, x, c, c, r);
    for (int i = 0; i < r * c; ++i) x[i] *= 3.4445F;
    amx::multiply(x, c, left, r / 32, right, r / 32, r, c, r, true);
  }
  arena.release(mark);
}

std::vector<Pass>& passes(int threads) {
  static std::vector<Pass> all(static_cast<std::size_t>(threads));
  return all;
}

}  // namespace

// False: no AMX here.
extern "C" bool native_enable() { return amx::enable(); }

// Mean loss over the learned positions of [windows][length]; `gradients` (null: not wanted) are overwritten.
extern "C" double native_step(const Shape* shape, const float* const* weights, float* const* gradients, const std::int32_t* ids,
                              const std::int32_t* targets, const std::uint8_t* learned, int windows, int length, int threads) {
  static Model model;
  model.load(*shape, weights, threads);
  std::vector<Pass>& all = passes(threads);
  for (Pass& p : all) p.begin(model, gradients != nullptr);
  const auto count = std::count_if(learned, learned + windows * length, [](std::uint8_t x) { return x != 0; });
  const int group = std::max(1, 512 / length), groups = (windows + group - 1) / group;
  on_threads(threads, groups, [&](int thread, int i) {
    const int from = i * group * length;
    all[thread].run(ids + from, targets + from, learned + from, std::min(group, windows - i * group), length, 1.0F / count,
                    gradients != nullptr);
  });
  double loss = 0;
  for (const Pass& p : all) loss += p.loss;
  if (gradients) {
    on_threads(threads, static_cast<int>(model.size.size()), [&](int, int i) {
      float* out = gradients[i];
      const std::size_t at = model.offset[i];
      for (std::size_t j = 0; j < model.size[i]; ++j) {
        float sum = 0;
        for (const Pass& p : all) sum += p.gradient[at + j];
        out[j] = sum;
      }
    });
  }
  return loss / count;
}

// In place, `count` matrices.
extern "C" void native_orthogonalise(float* const* matrices, const std::int32_t* rows, const std::int32_t* columns, int count, int threads) {
  static std::vector<Arena> arenas(threads);
  on_threads(threads, count, [&](int thread, int i) {
    Arena& arena = arenas[thread];
    const int r = rows[i], c = columns[i];
    float* x = matrices[i];
    if (r <= c) return newton_schulz(x, r, c, arena);
    arena.release(0);
    float* turned = arena.floats(r * c);
    for (int j = 0; j < r * c; ++j) turned[j % c * r + j / c] = x[j];
    newton_schulz(turned, c, r, arena);
    for (int j = 0; j < r * c; ++j) x[j] = turned[j % c * r + j / c];
  });
}
