/* Who sleeps, who wakes: two scheduler threads, a core each, the orchestrator. Nobody's sleep has a
 * time limit here, so a lost wake is a state in which everybody sleeps: an invalid end state.
 *
 * Bounds: TASKS tasks of one kernel each, WINDOW of them submitted and not RELEASED at most, 2 threads,
 * 2 cores of one lane, a TSO store buffer per process. A task's way after its FIN is one step here
 * (see watermarks.pml); `released` is stored under a lock that the thread waits for.
 * A core that is not READY yet counts as one with a dispatch outstanding: READY is its first FIN.
 * Swift functions are named in brackets. Mutants: see verify-models. */

#ifndef TASKS
#define TASKS 2
#endif
#ifndef WINDOW
#define WINDOW 1
#endif

#ifndef READY
#define READY 0
#endif

/* Processes 0 and 1: scheduler threads; 2 and 3: cores 0 and 1; 4: orchestrator. */
#define THREAD(c)    (c)
#define CORE(c)      (2 + (c))
#define ORCHESTRATOR 4

/* ---- Words, with their writer ---- */
#define SUBMITTED  0            /* orchestrator */
#define CONTROL    1            /* orchestrator: 1 = done */
#define O_PARKED   2            /* orchestrator */
#define DATA(c)    (3 + (c))    /* scheduler: DATA_MAIN_BASE, counts dispatches */
#define COND(c)    (5 + (c))    /* core: counts READY and FIN */
#define C_PARKED(c) (7 + (c))   /* core */
#define RELEASED   9            /* scheduler: last_task_released */
#define PARKED(t)  (10 + (t))   /* scheduler: bit t of `parked` */
#define BELL(t)    (12 + (t))   /* scheduler: thread t's bell */
#define STARTED(c) (14 + (c))   /* scheduler, private: holder of dispatchLock */
#define RETIRED(c) (16 + (c))   /* scheduler, private: polling thread */
#define WIRED      18           /* scheduler, private: holder of logLock */
#define LOG_LOCK      19
#define DISPATCH_LOCK 20
#define RELEASED_LOCK 21
#define WANTED     22           /* scheduler: log position at which thread 0 is to be woken */
#define WOKEN      23           /* orchestrator: the WANTED for which it woke thread 0 last */
byte mem[24];
/* Changed by read-modify-write alone. */
byte intake, freed;
/* Belong to the holder of dispatchLock. */
byte queue, room;

/* ---- Store buffers. A store with a fence behind it is one step, at the time when the fence is
 * through; without the fence the store waits in the buffer while its process goes on. ---- */
chan buffer[5] = [3] of { byte, byte };
#define STORE(a, v)        buffer[me]!(a),(v)
#define DRAINED            empty(buffer[me])
#define STORE_FENCED(a, v) atomic { DRAINED -> mem[a] = v }
inline drain(i) { d_step { buffer[i]?a,v -> mem[a] = v; if :: a == RELEASED -> mem[RELEASED_LOCK] = 0 :: else fi; a = 0; v = 0 } }
active proctype Memory() {
  byte a, v;
end:
  do
  :: nempty(buffer[0]) -> drain(0)
  :: nempty(buffer[1]) -> drain(1)
  :: nempty(buffer[2]) -> drain(2)
  :: nempty(buffer[3]) -> drain(3)
  :: nempty(buffer[4]) -> drain(4)
  od
} /* unreachable ok */

/* ---- futex: [WaitSet.wait], [Futex.wake] ----
 * A set of words, a bit each; 0 = awake. The kernel queues the sleeper on each word before it compares
 * that word, so comparing all and falling asleep is one step. Neither call is taken for a fence. */
int asleep[5];
#define ON(a) (1 << (a))
inline wake(a) {
  d_step {
    w = 0;
    do
    :: w < 5 -> if :: asleep[w] & ON(a) -> asleep[w] = 0 :: else fi; w++
    :: else -> break
    od;
    w = 0
  }
}
#ifdef NO_WAKE
#define MUTE(a) ((a) == NO_WAKE)
#else
#define MUTE(a) false
#endif
/* A look at `parked`, then the system call if it is set. */
inline wakeIf(parked, a) { atomic { if :: parked && !MUTE(a) -> wake(a) :: else fi } }
#define AWAKE (asleep[me] == 0)

/* ---- Stores with a fence before the next load; a mutant has none. ---- */
#ifdef NO_FENCE_SUBMIT
#define STORE_SUBMITTED STORE
#else
#define STORE_SUBMITTED STORE_FENCED
#endif
#ifdef NO_FENCE_FIN
#define STORE_COND STORE
#else
#define STORE_COND STORE_FENCED
#endif
#ifdef NO_FENCE_PARKED
#define STORE_PARKED STORE
#else
#define STORE_PARKED STORE_FENCED
#endif
#ifdef NO_FENCE_CORE_PARKED
#define STORE_CORE_PARKED STORE
#else
#define STORE_CORE_PARKED STORE_FENCED
#endif
#ifdef NO_FENCE_ORCHESTRATOR_PARKED
#define STORE_ORCHESTRATOR_PARKED STORE
#else
#define STORE_ORCHESTRATOR_PARKED STORE_FENCED
#endif
#ifdef NO_FENCE_UNLOCK
#define UNLOCK(lock) STORE(lock, 0)
#else
#define UNLOCK(lock) STORE_FENCED(lock, 0)
#endif

/* [pollOldest]: retired, then fetch_or on freed. The first time that is READY: [admitCores].
 * Then [finishSubtask] ... [advanceReleased], [wakeOrchestrator]. */
#define HAS_FIN(c) (mem[STARTED(c)] != mem[RETIRED(c)] && mem[COND(c)] == mem[STARTED(c)])
inline pollCore(c) {
  atomic {
    HAS_FIN(c) && DRAINED -> isFin = (mem[COND(c)] > 1); mem[RETIRED(c)] = mem[COND(c)]; freed = freed | (1 << c)
  };
  if
#ifdef NO_FENCE_WATERMARK
  :: atomic { isFin && !mem[RELEASED_LOCK] -> mem[RELEASED_LOCK] = 1; isFin = 0; STORE(RELEASED, mem[RELEASED] + 1) };
     wakeIf(mem[O_PARKED], RELEASED)
#else
  :: atomic { isFin && DRAINED -> mem[RELEASED] = mem[RELEASED] + 1; isFin = 0 };
     wakeIf(mem[O_PARKED], RELEASED)
#endif
  :: !isFin
  fi
}

/* [readLog]: a loser leaves, the holder looks again. [wire], [makeReady] push on the intake. */
#define HAS_LOG (mem[SUBMITTED] != mem[WIRED])
inline readLog() {
  do
  :: atomic { DRAINED && mem[LOG_LOCK] -> break }  /* [exchange] */
  :: atomic {
       DRAINED && !mem[LOG_LOCK] -> mem[LOG_LOCK] = 1;
       intake = intake + mem[SUBMITTED] - mem[WIRED]; mem[WIRED] = mem[SUBMITTED]
     };
     UNLOCK(LOG_LOCK);
     if :: HAS_LOG :: else -> break fi
  od
}

/* [dispatchReady], [Dispatcher.send]: to any core with room */
#define HAS_READY (intake || freed)
#ifdef NO_RECHECK_DISPATCH
#define MORE_READY false
#else
#define MORE_READY HAS_READY
#endif
#define IS_FREED(c) (freed & (1 << (c)))
#define HAS_ROOM(c) (room & (1 << (c)))
inline start(c) {
  atomic {
    queue && HAS_ROOM(c) -> queue--; room = room & ~(1 << c); toWake = toWake | (1 << c);
    STORE(DATA(c), mem[DATA(c)] + 1);
    STORE(STARTED(c), mem[STARTED(c)] + 1)
  }
}
/* [wakePeers]: the core, and the thread that polls it, which does not sleep on its COND yet */
inline wakeCore(c) {
  if
  :: toWake & (1 << c) ->
     wakeIf(mem[C_PARKED(c)], DATA(c));
     atomic {
       toWake = toWake & ~(1 << c);
#ifndef NO_BELL
       if
       :: c != me && mem[PARKED(c)] -> DRAINED -> mem[BELL(c)] = mem[BELL(c)] + 1; wake(BELL(c))
       :: else
       fi
#endif
     }
  :: else
  fi
}

inline dispatchReady() {
  do
  :: atomic { DRAINED && mem[DISPATCH_LOCK] -> break }  /* [exchange] */
  :: atomic {
       DRAINED && !mem[DISPATCH_LOCK] -> mem[DISPATCH_LOCK] = 1;
       queue = queue + intake; intake = 0;
       assert(!IS_FREED(0) || mem[RETIRED(0)] == mem[STARTED(0)]);  /* what it is recomputed from */
       assert(!IS_FREED(1) || mem[RETIRED(1)] == mem[STARTED(1)]);
       room = room | freed; freed = 0
     };
     do
     :: start(0)
     :: start(1)
     :: !queue || !room -> break
     od;
     UNLOCK(DISPATCH_LOCK);
     if :: MORE_READY :: else -> break fi
  od;
  wakeCore(0);
  wakeCore(1)
}

/* [park] of a scheduler thread. The set: bell, control, COND of its core if something is outstanding
 * there, `woken` for thread 0, as it was before `parked`. What they hold at the look is what the kernel compares with, so all
 * are looked at in one step; only the bell must not be looked at later than `started`. */
#ifdef NO_LOOK_AT_SUBMITTED
#define IS_REACHED false
#else
#define IS_REACHED (mem[SUBMITTED] >= wanted)
#endif
/* What is wanted is what comes after what was wired as it was stored: another thread may wire
 * more before the look. */
#ifdef WANTED_SEEN_FRESH
#define LOOK_WANTED wanted = mem[WIRED] + 1
#else
#define LOOK_WANTED skip
#endif
inline park() {
  atomic {
    /* The log was empty some time ago. */
    !HAS_FIN(me) && !mem[CONTROL] && DRAINED ->
    /* Nobody looks at it before `parked`. */
    if
    :: me == 0 -> log = mem[WOKEN]; wanted = mem[WIRED] + 1; mem[WANTED] = wanted
    :: else
    fi;
    STORE_PARKED(PARKED(me), 1)
  };
  atomic {
    bell = mem[BELL(me)];
    set = ON(BELL(me)) | ON(CONTROL);
    if
    :: mem[STARTED(me)] != mem[RETIRED(me)] -> set = set | ON(COND(me)); cond = mem[COND(me)]
    :: else
    fi;
    if
    :: me == 0 -> LOOK_WANTED; set = set | ON(WOKEN); isNew = IS_REACHED
    :: else
    fi
  };
#ifdef BELL_SEEN_LATE
  bell = mem[BELL(me)];
#endif
  atomic {
    if
    :: mem[BELL(me)] == bell && !mem[CONTROL] &&
       (!(set & ON(COND(me))) || (mem[COND(me)] == cond && cond != mem[STARTED(me)])) &&
       (!(set & ON(WOKEN)) || (mem[WOKEN] == log && !isNew)) -> asleep[me] = set
    :: else
    fi;
    set = 0; cond = 0; bell = 0; log = 0; wanted = 0; isNew = 0
  };
  atomic {
    AWAKE && DRAINED -> mem[PARKED(me)] = 0;
    /* Nobody looks at it now; fewer states. */
    if :: me == 0 -> mem[WANTED] = 0 :: else fi
  }
}

/* [SchedulerProcess.run], [step] */
proctype Scheduler(byte me) {
  byte w, toWake, bell, cond, log, wanted;
  int set;
  bit isFin, isNew;
  do
  :: pollCore(me); dispatchReady()
  :: HAS_LOG -> readLog(); dispatchReady()
  :: HAS_READY -> dispatchReady()
  :: mem[CONTROL] -> break
  :: park()
  od
}

/* [Core]: [announce], [step], [park] */
proctype Core(byte me; byte c) {
  byte served = 1, w;
#if READY
  STORE_COND(COND(c), served);
  wakeIf(mem[PARKED(THREAD(c))], COND(c));
#endif
  do
  :: atomic { mem[DATA(c)] != served -> served = mem[DATA(c)]; STORE_COND(COND(c), served) };
     wakeIf(mem[PARKED(THREAD(c))], COND(c))
  :: atomic { mem[DATA(c)] == served && mem[CONTROL] -> break }
  :: atomic { mem[DATA(c)] == served && !mem[CONTROL] -> STORE_CORE_PARKED(C_PARKED(c), 1) };
     atomic {
       if
       :: mem[DATA(c)] == served && !mem[CONTROL] -> asleep[me] = ON(DATA(c)) | ON(CONTROL)
       :: else
       fi
     };
     atomic { AWAKE -> mem[C_PARKED(c)] = 0 }
  od
}

/* [waitForRoom], [drain]: [wait] */
inline waitForReleased(n) {
  do
  :: atomic { mem[RELEASED] >= n -> break }
  :: atomic { mem[RELEASED] < n -> seen = mem[RELEASED]; STORE_ORCHESTRATOR_PARKED(O_PARKED, 1) };
     atomic { if :: mem[RELEASED] == seen -> asleep[me] = ON(RELEASED) :: else fi; seen = 0 };
     atomic { AWAKE -> mem[O_PARKED] = 0 }
  od
}
active proctype Orchestrator() {
  byte me = ORCHESTRATOR, n, seen, w;
  atomic {
    mem[STARTED(0)] = 1; mem[STARTED(1)] = 1; mem[DATA(0)] = 1; mem[DATA(1)] = 1;
#if !READY
    mem[COND(0)] = 1; mem[COND(1)] = 1; mem[RETIRED(0)] = 1; mem[RETIRED(1)] = 1; room = 3;
#endif
    run Scheduler(0); run Scheduler(1); run Core(CORE(0), 0); run Core(CORE(1), 1)
  };
  do
  :: n < TASKS ->
     if :: n >= WINDOW -> waitForReleased(n - WINDOW + 1) :: else fi;
     n++;
     STORE_SUBMITTED(SUBMITTED, n);  /* [publish] */
     atomic {
       if
       :: mem[PARKED(THREAD(0))] && mem[WANTED] != mem[WOKEN] && n >= mem[WANTED] ->
          DRAINED -> mem[WOKEN] = mem[WANTED];
          if :: !MUTE(WOKEN) -> wake(WOKEN) :: else fi
       :: else
       fi
     }
  :: else -> break
  od;
  waitForReleased(TASKS);
  STORE_FENCED(CONTROL, 1);  /* [finish]; the fence is the kernel's own, in FUTEX_WAKE */
  wake(CONTROL)              /* without a look at `parked` */
}
