// The threads of cuda_on_cpu.h: blocks of fibers. This file is never instrumented; sanitizers are told what it does.

#include <ucontext.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#ifdef __SSE__
#include <xmmintrin.h>
#endif

#include "cuda_on_cpu.h"

extern "C" {
// Of the sanitizer that the program is linked with, if any.
#define WEAK __attribute__((weak))
WEAK void* __tsan_get_current_fiber();
WEAK void* __tsan_create_fiber(unsigned);
WEAK void __tsan_destroy_fiber(void*);
WEAK void __tsan_switch_to_fiber(void*, unsigned);
WEAK void __tsan_acquire(void*);
WEAK void __tsan_release(void*);
WEAK void __sanitizer_start_switch_fiber(void**, const void*, std::size_t);
WEAK void __sanitizer_finish_switch_fiber(void*, const void**, std::size_t*);
}

thread_local Dimension threadIdx, blockIdx, blockDim, gridDim;

static const std::size_t SHARED = 48 * 1024;  // what a launch may ask for without more ado
static const std::size_t STACK = 64 * 1024;

namespace {

// While it lives, this thread takes denormal numbers for zero, if asked to: as CuPy has every float kernel compiled.
// Where the processor knows no such thing, nothing is changed.
class Flushing {
#ifdef __SSE__
  public:
    explicit Flushing(bool asked) : before(_mm_getcsr()) {
        if (asked) _mm_setcsr(before | 0x8040);  // of results, and of operands
    }
    ~Flushing() { _mm_setcsr(before); }

  private:
    const unsigned before;
#else
  public:
    explicit Flushing(bool) {}
#endif
};

enum State { READY, AT_BARRIER, DONE };

// Where a fiber goes on. The system's own switch asks the kernel for the mask of signals, twice, which would be most of
// the time; the compiler's jumps do not.
struct Jump {
    void* buffer[5];
};

// In a function of its own, as the compiler asks for.
[[noreturn]] __attribute__((noinline)) void leap(Jump& to) { __builtin_longjmp(to.buffer, 1); }

__attribute__((noinline)) void jump(Jump& from, Jump& to) {
    if (__builtin_setjmp(from.buffer) == 0) leap(to);
}

struct Fiber {
    Jump jump;
    std::unique_ptr<char[]> stack{new char[STACK]};
    void* sanitizer = nullptr;
    void* fake_stack = nullptr;
    bool started = false;
    State state = READY;
    const char* file = nullptr;
    int line = 0;
};

struct Launch {
    void (*kernel)(void**);
    void** arguments;
    unsigned grid, block;
    std::size_t shared;
    int order;
    bool flush;  // denormal numbers to zero
    // What blocks share within, by block. Each has its own until the launch is over: sanitizers then see its edges, and
    // do not take two blocks' use of it for a race.
    std::vector<std::unique_ptr<char[]>> shared_memory;
    // For the thread sanitizer, by block: fibers and their stacks, which no other block may use before the end.
    std::vector<std::vector<std::unique_ptr<Fiber>>> retired;
    char start, end;  // addresses by which the sanitizer orders the launch before and after others
};

// The fibers of one thread of the system, and which of them runs.
struct Scheduler {
    std::vector<std::unique_ptr<Fiber>> fibers;
    Fiber* running = nullptr;
    Jump home;
    void* home_sanitizer = nullptr;
    void* home_fake_stack = nullptr;
    const void* home_stack = nullptr;
    std::size_t home_size = 0;
    const Launch* launch = nullptr;
    char barrier;
};
thread_local Scheduler scheduler;

[[noreturn]] void fail(const char* what, const Fiber& fiber) {
    std::fprintf(stderr, "cuda_on_cpu: %s (%s:%d)\n", what, fiber.file ? fiber.file : "?", fiber.line);
    std::abort();
}

void go_home() {
    Scheduler& s = scheduler;
    Fiber& fiber = *s.running;
    if (__sanitizer_start_switch_fiber)
        __sanitizer_start_switch_fiber(&fiber.fake_stack, s.home_stack, s.home_size);
    if (__tsan_switch_to_fiber) __tsan_switch_to_fiber(s.home_sanitizer, 1);
    jump(fiber.jump, s.home);
    if (__sanitizer_finish_switch_fiber) __sanitizer_finish_switch_fiber(fiber.fake_stack, nullptr, nullptr);
}

// What a fiber does: a thread of the kernel, then of the next block's or launch's, for as long as it is asked.
void run_fiber() {
    Scheduler& s = scheduler;
    if (__sanitizer_finish_switch_fiber) __sanitizer_finish_switch_fiber(nullptr, &s.home_stack, &s.home_size);
    while (true) {
        const Launch* const launch = s.launch;
        if (__tsan_acquire) __tsan_acquire((void*)&launch->start);
        launch->kernel(launch->arguments);
        if (__tsan_release) __tsan_release((void*)&launch->end);
        s.running->state = DONE;
        go_home();
    }
}

// Run a fiber's first part, on its own stack.
__attribute__((noinline)) void start(Fiber& fiber) {
    if (__builtin_setjmp(scheduler.home.buffer)) return;
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = fiber.stack.get(), context.uc_stack.ss_size = STACK;
    context.uc_link = nullptr;
    makecontext(&context, run_fiber, 0);
    setcontext(&context);
}

void resume(Fiber& fiber, unsigned index) {
    Scheduler& s = scheduler;
    s.running = &fiber;
    threadIdx = {index};
    if (__sanitizer_start_switch_fiber) __sanitizer_start_switch_fiber(&s.home_fake_stack, fiber.stack.get(), STACK);
    if (__tsan_switch_to_fiber) __tsan_switch_to_fiber(fiber.sanitizer, 1);
    if (!fiber.started) {
        fiber.started = true;
        start(fiber);
    } else {
        jump(s.home, fiber.jump);
    }
    if (__sanitizer_finish_switch_fiber) __sanitizer_finish_switch_fiber(s.home_fake_stack, nullptr, nullptr);
}

// 0, 1, ... in the order asked for: forwards, backwards, or shuffled by a seed.
std::vector<unsigned> ordered(unsigned count, int order) {
    std::vector<unsigned> all(count);
    for (unsigned i = 0; i < count; i++) all[i] = order == 1 ? count - 1 - i : i;
    if (order > 1) std::shuffle(all.begin(), all.end(), std::mt19937(order));
    return all;
}

void begin_block(Launch& launch, unsigned block) {
    Scheduler& s = scheduler;
    s.launch = &launch;
    blockIdx = {block}, blockDim = {launch.block}, gridDim = {launch.grid};
    for (std::size_t i = 0; i < launch.shared; i++)
        launch.shared_memory[block][i] = (char)0xff;  // NaN: whoever reads what nobody wrote, shows
    if (__tsan_get_current_fiber) s.home_sanitizer = __tsan_get_current_fiber();
    while (s.fibers.size() < launch.block) s.fibers.emplace_back(new Fiber);
    for (unsigned i = 0; i < launch.block; i++) {
        Fiber& fiber = *s.fibers[i];
        fiber.state = READY, fiber.file = nullptr;
        if (__tsan_create_fiber) fiber.sanitizer = __tsan_create_fiber(0);
    }
}

// Whether all are at one barrier, or all are done; anything else would hang or be undefined on a GPU.
State common_state(const Launch& launch) {
    Scheduler& s = scheduler;
    const Fiber& first = *s.fibers[0];
    for (unsigned i = 0; i < launch.block; i++) {
        const Fiber& fiber = *s.fibers[i];
        if (fiber.state != first.state) fail("threads of a block part at a barrier", fiber.file ? fiber : first);
        if (fiber.state == AT_BARRIER && (fiber.line != first.line || std::strcmp(fiber.file, first.file)))
            fail("threads of a block meet at different barriers", fiber);
    }
    return first.state;
}

void run_block(Launch& launch, unsigned block) {
    Scheduler& s = scheduler;
    const Flushing flushing(launch.flush);
    const std::vector<unsigned> order = ordered(launch.block, launch.order);
    if (launch.shared == 0 && !__tsan_create_fiber) {  // no barriers without shared memory: no fibers, for speed
        s.running = nullptr;
        blockIdx = {block}, blockDim = {launch.block}, gridDim = {launch.grid};
        for (unsigned i : order) threadIdx = {i}, launch.kernel(launch.arguments);
        return;
    }
    begin_block(launch, block);
    do {
        for (bool waiting = true; waiting;) {  // round and round while somebody only passes its turn
            waiting = false;
            for (unsigned i : order) {
                if (s.fibers[i]->state != READY) continue;
                resume(*s.fibers[i], i);
                waiting = waiting || s.fibers[i]->state == READY;
            }
            if (waiting) std::this_thread::yield();
        }
        if (common_state(launch) == DONE) break;
        for (unsigned i = 0; i < launch.block; i++) s.fibers[i]->state = READY;
    } while (true);
    if (__tsan_destroy_fiber) {
        for (unsigned i = 0; i < launch.block; i++) __tsan_destroy_fiber(s.fibers[i]->sanitizer);
        launch.retired[block] = std::move(s.fibers);
        s.fibers.clear();
    }
}

}  // namespace

void meet_block(const char* file, int line) {
    Scheduler& s = scheduler;
    if (!s.running) fail("a barrier in a launch without shared memory", Fiber());
    s.running->state = AT_BARRIER, s.running->file = file, s.running->line = line;
    if (__tsan_release) __tsan_release(&s.barrier);
    go_home();
    if (__tsan_acquire) __tsan_acquire(&scheduler.barrier);
}

double* memory_of_block() {
    return reinterpret_cast<double*>(scheduler.launch->shared_memory[blockIdx.x].get());
}

void pass_turn() { go_home(); }

// Run a kernel; 0, or what is wrong with the launch. order: of threads and blocks, see ``ordered``. flush: denormal
// numbers are zero. A cooperative launch has all its blocks at once, each in a thread of the system.
extern "C" int run_grid(
    void (*kernel)(void**), unsigned grid, unsigned block, std::size_t shared, void** arguments, int cooperative,
    int order, int flush
) {
    if (grid < 1 || block < 1 || block > 1024 || shared > SHARED || (cooperative && grid > 64)) return 1;
    Launch launch = {kernel, arguments, grid, block, shared, order, flush != 0, {}, {}, 0, 0};
    launch.retired.resize(grid);
    for (unsigned i = 0; i < grid; i++) launch.shared_memory.emplace_back(new char[shared]);
    if (__tsan_release) __tsan_release(&launch.start);
    if (cooperative) {
        std::vector<std::thread> threads;
        for (unsigned i : ordered(grid, order)) threads.emplace_back(run_block, std::ref(launch), i);
        for (std::thread& thread : threads) thread.join();
    } else {
        for (unsigned i : ordered(grid, order)) run_block(launch, i);
    }
    if (__tsan_acquire) __tsan_acquire(&launch.end);
    return 0;
}
