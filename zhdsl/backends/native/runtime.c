/* The native run-time: walks through a table of calls and loops, alone or with a pool of threads.

   All threads of a run walk the same table. A parallel call is made by every thread with its own part; a serial call by
   thread 0 alone. Before a call the threads meet where that is needed: never between serial calls, never if the call
   says that it depends on nothing since the last meeting. With one thread there is no pool, no lock and no meeting.

   Each thread has its own copy of z, so that counting a loop's rounds needs no meeting either. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#endif
#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#define PAUSE() _mm_pause()
#define FLOAT_MODE() _mm_getcsr()
#define SET_FLOAT_MODE(mode) _mm_setcsr(mode)
#else
#if defined(__aarch64__)
#define PAUSE() __asm__ volatile("yield")
#else
#define PAUSE() ((void)0)
#endif
#define FLOAT_MODE() 0u
#define SET_FLOAT_MODE(mode) ((void)(mode))
#endif

enum { PARALLEL = 1, UNORDERED = 2, REVERSE = 4 };  /* flags of an entry */
enum { MOST_THREADS = 256, MOST_SLOTS = 1024 };
enum { LOOKS_PER_CLOCK = 32 };  /* how often to look at a word between two looks at the clock */
static const long SPIN_NS = 10000;         /* then give way: other programs may need the core, also our own thread */
static const long WORKER_NS = 100000;      /* then a worker without a job sleeps */
static const long MEETING_NS = 1000000;    /* then a thread that waits for the others sleeps */
static const long STACK_BYTES = 16l << 20;

typedef void (*kernel)(void **buffers, const long *z, long part, long parts);
typedef struct {
  kernel call;     /* NULL: a loop over the `body` entries that follow */
  void **buffers;  /* what the call is given */
  long flags;
  long body;       /* of a loop: number of entries, those of loops inside included */
  long slot;       /* of a loop: where in z the number of the round stands */
  long rounds;
} entry;

typedef struct {
  const entry *table;
  long count;
  const long *z;  /* values of size variables and loop counters; a run leaves them as they are */
  long slots;     /* how many */
} program;

typedef struct {
  program program;
  long threads;
  unsigned float_mode;
} job;

typedef struct {
  _Alignas(128) _Atomic uint32_t ticket;  /* changes when there is a job */
  _Atomic uint32_t asleep;
  uint32_t seen;
  long part;
  pthread_t thread;
} worker;

static struct {
  pthread_mutex_t lock;  /* held by the run that has the pool */
  job now;
  long workers;
  _Atomic int stopping;
  worker worker[MOST_THREADS];
  _Alignas(128) _Atomic uint32_t arrived;
  _Alignas(128) _Atomic uint32_t phase;
  _Atomic uint32_t waiting;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---------------------------------------------------------------- waiting */
static long nanoseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000l + t.tv_nsec;
}

static void sleep_on(_Atomic uint32_t *word, uint32_t old) {
#ifdef __linux__
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, old, NULL, NULL, 0);
#else
  (void)word, (void)old, sched_yield();
#endif
}

static void wake(_Atomic uint32_t *word) {
#ifdef __linux__
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
#else
  (void)word;
#endif
}

/* Returns when the word is no longer `old`: looks at it, then gives way to others, then sleeps. Who changes the word
   looks at `asleep` afterwards; both orders are sequentially consistent, so that no wake is lost. */
static void await(_Atomic uint32_t *word, uint32_t old, _Atomic uint32_t *asleep, long patience) {
  long start = 0;
  for (long looks = 0;; looks++) {
    if (atomic_load_explicit(word, memory_order_acquire) != old) return;
    PAUSE();
    if (looks % LOOKS_PER_CLOCK) continue;
    long now = nanoseconds();
    if (!start) start = now;
    if (now - start > patience) break;
    if (now - start > SPIN_NS) sched_yield();
  }
  atomic_fetch_add(asleep, 1);
  while (atomic_load(word) == old) sleep_on(word, old);
  atomic_fetch_sub(asleep, 1);
}

static void meet(long threads) {
  uint32_t phase = atomic_load_explicit(&pool.phase, memory_order_relaxed);
  if (atomic_fetch_add(&pool.arrived, 1) + 1 < (uint32_t)threads) {
    await(&pool.phase, phase, &pool.waiting, MEETING_NS);
    return;
  }
  atomic_store_explicit(&pool.arrived, 0, memory_order_relaxed);
  atomic_store(&pool.phase, phase + 1);
  if (atomic_load(&pool.waiting)) wake(&pool.phase);
}

/* ---------------------------------------------------------------- walking */
/* `open` tells which work since the last meeting others may still have to wait for. */
enum { NOTHING = 0, SERIAL_WORK = 1, PARALLEL_WORK = 2 };

static long call_one(const entry *e, const long *z, long part, long parts, long open) {
  long parallel = e->flags & PARALLEL;
  long waits = !(e->flags & UNORDERED) && (open & PARALLEL_WORK || (open & SERIAL_WORK && parallel));
  if (parts > 1 && waits) meet(parts), open = NOTHING;
  if (parallel) e->call(e->buffers, z, part, parts);
  else if (part == 0) e->call(e->buffers, z, 0, 1);
  return open | (parallel ? PARALLEL_WORK : SERIAL_WORK);
}

static long walk(const entry *e, long count, long *z, long part, long parts, long open) {
  for (const entry *end = e + count; e < end; e++) {
    if (e->call) {
      open = call_one(e, z, part, parts, open);
      continue;
    }
    long before = z[e->slot];
    for (long k = 0; k < e->rounds; k++) {
      z[e->slot] = e->flags & REVERSE ? e->rounds - 1 - k : k;
      open = walk(e + 1, e->body, z, part, parts, open);
    }
    z[e->slot] = before;
    e += e->body;
  }
  return open;
}

static void take_part(const job *j, long part) {
  long z[MOST_SLOTS];
  memcpy(z, j->program.z, j->program.slots * sizeof *z);
  walk(j->program.table, j->program.count, z, part, j->threads, NOTHING);
  if (j->threads > 1) meet(j->threads);
}

/* ---------------------------------------------------------------- the pool */
static void *work(void *given) {
  worker *me = given;
  for (;;) {
    await(&me->ticket, me->seen, &me->asleep, WORKER_NS);
    me->seen = atomic_load(&me->ticket);
    if (atomic_load(&pool.stopping)) return NULL;
    SET_FLOAT_MODE(pool.now.float_mode);
    take_part(&pool.now, me->part);
  }
}

static void call_worker(worker *w) {
  atomic_fetch_add(&w->ticket, 1);
  if (atomic_load(&w->asleep)) wake(&w->ticket);
}

/* Workers take no signals: those are the interpreter's. */
static void hire(long wanted) {
  sigset_t all, before;
  pthread_attr_t attributes;
  if (pool.workers >= wanted || pthread_attr_init(&attributes)) return;
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  while (pool.workers < wanted) {
    worker *w = &pool.worker[pool.workers];
    w->part = pool.workers + 1;
    w->seen = atomic_load(&w->ticket);
    if (pthread_create(&w->thread, &attributes, work, w)) break;
    pool.workers++;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
}

/* A child has the memory of the pool, but not its threads: it starts with none. No run is in the middle, since the
   one who forks holds the lock. */
static void before_fork(void) { pthread_mutex_lock(&pool.lock); }
static void after_fork_parent(void) { pthread_mutex_unlock(&pool.lock); }
static void after_fork_child(void) {
  pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
  pool.lock = fresh;
  pool.workers = 0;
  atomic_store(&pool.arrived, 0);
  atomic_store(&pool.waiting, 0);
  for (long i = 0; i < MOST_THREADS; i++) atomic_store(&pool.worker[i].asleep, 0);
}

__attribute__((constructor)) static void watch_forks(void) {
  pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

static long any_parallel(const entry *table, long count) {
  for (long i = 0; i < count; i++)
    if (table[i].call && table[i].flags & PARALLEL) return 1;
  return 0;
}

/* Runs a program. Returns the number of threads that took part, which is less than `threads` if the system gives no
   more or if no call is parallel; -1 if z is too long. (All but `threads` is behind one pointer: what Python calls,
   it pays for by the argument.) */
long zh_run(const program *p, long threads) {
  if (p->slots < 0 || p->slots > MOST_SLOTS) return -1;
  job alone = {*p, 1, 0};
  if (threads > MOST_THREADS) threads = MOST_THREADS;
  if (threads <= 1 || !any_parallel(p->table, p->count)) return take_part(&alone, 0), 1;
  pthread_mutex_lock(&pool.lock);
  hire(threads - 1);
  if (pool.workers + 1 < threads) threads = pool.workers + 1;
  job shared = {*p, threads, FLOAT_MODE()};
  pool.now = shared;
  for (long i = 0; i < threads - 1; i++) call_worker(&pool.worker[i]);
  take_part(&pool.now, 0);
  pthread_mutex_unlock(&pool.lock);
  return threads;
}

/* Ends the pool's threads; the next run makes new ones. Does nothing while another thread runs. */
void zh_stop(void) {
  if (pthread_mutex_trylock(&pool.lock)) return;
  atomic_store(&pool.stopping, 1);
  for (long i = 0; i < pool.workers; i++) call_worker(&pool.worker[i]);
  for (long i = 0; i < pool.workers; i++) pthread_join(pool.worker[i].thread, NULL);
  pool.workers = 0;
  atomic_store(&pool.stopping, 0);
  pthread_mutex_unlock(&pool.lock);
}

long zh_workers(void) { return pool.workers; }
