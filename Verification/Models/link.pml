/* Transfers between two ranks: each runs its part of one program, with a window of WINDOW tasks
 * that are submitted and not RELEASED, and two rings of as many places between scheduler and link.
 *
 * Does it end, however ready tasks, links and messages come? A send is synchronous: it is over when
 * the other rank has received it. Messages from one rank to the other come in order. A kernel is one
 * step: it needs nobody else. Waking is not part of this (park.pml). Swift functions are named in
 * brackets. */

#ifndef GRAPH
#define GRAPH  1
#endif
#ifndef WINDOW
#define WINDOW 5
#endif
#ifdef SHORT_RINGS
#define PLACES (WINDOW - 1)
#else
#define PLACES WINDOW
#endif

#define KERNEL  0
#define SEND    1
#define RECEIVE 2

/* The program in its order, the same on both ranks: on which rank, what, after which task, and of a
 * transfer, which message. */
#define NONE 15
typedef Task { byte rank, kind, after, message }
#if GRAPH == 1
/* Rank 0 may receive z into its memory at once, and x only when an old reader is done. z needs y,
 * and y needs x. */
#define TASKS 9
#define MESSAGES 3
#define PROGRAM                                                              \
  task(0, 0, KERNEL, NONE, NONE);     /* reads what is in x */               \
  task(1, 1, SEND, NONE, 0);          /* x */                                \
  task(2, 0, RECEIVE, 0, 0);                                                 \
  task(3, 0, KERNEL, 2, NONE);        /* y from x */                         \
  task(4, 0, SEND, 3, 1);             /* y */                                \
  task(5, 1, RECEIVE, NONE, 1);                                              \
  task(6, 1, KERNEL, 5, NONE);        /* z from y */                         \
  task(7, 1, SEND, 6, 2);             /* z */                                \
  task(8, 0, RECEIVE, NONE, 2)
#else
/* Rank 1 has q to send before p, and rank 0 has a place for q only when it has used p. Back the
 * same: r and s. */
#define TASKS 12
#define MESSAGES 4
#define PROGRAM                                                              \
  task(0, 1, KERNEL, NONE, NONE);     /* p */                                \
  task(1, 1, SEND, 0, 0);                                                    \
  task(2, 0, RECEIVE, NONE, 0);                                              \
  task(3, 0, KERNEL, 2, NONE);        /* uses p */                           \
  task(4, 1, SEND, NONE, 1);          /* q */                                \
  task(5, 0, RECEIVE, 3, 1);                                                 \
  task(6, 0, KERNEL, 5, NONE);        /* r */                                \
  task(7, 0, SEND, 6, 2);                                                    \
  task(8, 1, RECEIVE, NONE, 2);                                              \
  task(9, 1, KERNEL, 8, NONE);        /* uses r */                           \
  task(10, 0, SEND, NONE, 3);         /* s */                                \
  task(11, 1, RECEIVE, 9, 3)
#endif
Task tasks[TASKS];

#define PENDING   1
#define RUNNING   2
#define COMPLETED 3
byte state[TASKS];                /* 0: not submitted */

byte next[2];                     /* of the program: orchestrator */
byte submitted[2], released[2];   /* tasks of the rank */
byte head[2];                     /* of the program: the first that is not RELEASED there */

chan starts[2] = [PLACES] of { byte };
chan ends[2] = [PLACES] of { byte };
chan wire[2] = [MESSAGES] of { byte };   /* to the rank */

#define AWAY    1                 /* sent */
#define THERE   2                 /* known to the other link, which keeps the handle */
#define ARRIVED 3                 /* in the memory of the receive */
byte message[MESSAGES];
byte receiver[MESSAGES];          /* the task */
bit  has[TASKS];                  /* the link has read its start */
bit  posted[TASKS];               /* and has begun with it */
byte sends[2], receives[2];       /* posted */

inline task(t, r, k, a, m) {
  tasks[t].rank = r; tasks[t].kind = k; tasks[t].after = a; tasks[t].message = m;
  if
  :: k == RECEIVE -> receiver[m] = t
  :: else
  fi
}

/* [Orchestrator.commit, waitForRoom]; a task of the other rank takes no room */
proctype orchestrator(bit r) {
  do
  :: next[r] == TASKS -> break
  :: next[r] < TASKS && tasks[next[r]].rank != r -> next[r]++
  :: next[r] < TASKS && tasks[next[r]].rank == r && submitted[r] - released[r] < WINDOW ->
       atomic { state[next[r]] = PENDING; submitted[r]++; next[r]++ }
  od
}

#define isReady(t) (state[t] == PENDING && tasks[t].rank == r \
  && (tasks[t].after == NONE || state[tasks[t].after % TASKS] == COMPLETED))

/* [SchedulerThread.startTransfer] */
inline begin(t) {
  atomic {
    if
    :: tasks[t].kind == KERNEL -> state[t] = COMPLETED; advance()
    :: else -> assert(nfull(starts[r])); state[t] = RUNNING; starts[r]!t
    fi
  }
}

/* [Watermark.advance] */
inline advance() {
  do
  :: head[r] < TASKS && tasks[head[r]].rank != r -> head[r]++
  :: head[r] < TASKS && tasks[head[r]].rank == r && state[head[r]] == COMPLETED ->
       head[r]++; released[r]++
  :: else -> break
  od
}

#define isDone (head[r] == TASKS)

proctype scheduler(bit r) {
  byte t;
  do
  :: isDone -> break
  :: isReady(0) -> begin(0)
  :: isReady(1) -> begin(1)
  :: isReady(2) -> begin(2)
  :: isReady(3) -> begin(3)
  :: isReady(4) -> begin(4)
  :: isReady(5) -> begin(5)
  :: isReady(6) -> begin(6)
  :: isReady(7) -> begin(7)
  :: isReady(8) -> begin(8)
#if TASKS > 9
  :: isReady(9) -> begin(9)
  :: isReady(10) -> begin(10)
  :: isReady(11) -> begin(11)
#endif
  /* [SchedulerThread.takeEnds] */
  :: atomic {
       ends[r]?t -> assert(state[t] == RUNNING && tasks[t].rank == r);
       state[t] = COMPLETED; advance(); t = 0
     }
  od
}

/* When the link begins with a transfer that it has: at once. */
#if defined(ONE_LANE)
#define mayPost(t) (sends[r] + receives[r] == 0)
#elif defined(ONE_RECEIVE)
#define mayPost(t) (tasks[t].kind == SEND || receives[r] == 0)
#elif defined(ONE_SEND)
#define mayPost(t) (tasks[t].kind == RECEIVE || sends[r] == 0)
#else
#define mayPost(t) true
#endif
#define toPost(t) (has[t] && tasks[t].rank == r && !posted[t] && mayPost(t))

inline post(t) {
  atomic {
    posted[t] = true;
    if
    :: tasks[t].kind == SEND ->
         sends[r]++;
         assert(message[tasks[t].message] == 0);
         message[tasks[t].message] = AWAY;
         wire[1 - r]!tasks[t].message
    :: else -> receives[r]++
    fi
  }
}

/* A receive that is posted takes its message, wherever that is among those that are there; a send
 * is over when that has happened. */
#define toEnd(t) (posted[t] && tasks[t].rank == r \
  && message[tasks[t].message % MESSAGES] == (tasks[t].kind == RECEIVE -> THERE : ARRIVED))

inline settle(t) {
  atomic {
    if
    :: tasks[t].kind == RECEIVE -> message[tasks[t].message] = ARRIVED; receives[r]--
    :: else -> sends[r]--
    fi;
    posted[t] = false; has[t] = false;
    assert(nfull(ends[r]));
    ends[r]!t
  }
}

#define onTask(t) \
  :: toPost(t) -> post(t) \
  :: toEnd(t) -> settle(t)

#ifdef HEAD_ONLY
/* A message stays where it is, before all others, until its receive is posted. */
#define onHead(m) \
  :: atomic { wire[r]?[m] && posted[receiver[m]] -> wire[r]?m; message[m] = THERE }
#endif

proctype link(bit r) {
  byte t, m;
  do
  :: isDone -> break
  :: atomic { starts[r]?t -> has[t] = true; t = 0 }
#ifdef HEAD_ONLY
  onHead(0) onHead(1) onHead(2)
#if MESSAGES > 3
  onHead(3)
#endif
#else
  /* Whatever comes is taken note of. */
  :: atomic { wire[r]?m -> message[m] = THERE; m = 0 }
#endif
  onTask(0) onTask(1) onTask(2) onTask(3) onTask(4) onTask(5) onTask(6) onTask(7) onTask(8)
#if TASKS > 9
  onTask(9) onTask(10) onTask(11)
#endif
  od
}

init {
  atomic {
    PROGRAM;
    run orchestrator(0); run scheduler(0); run link(0);
    run orchestrator(1); run scheduler(1); run link(1)
  }
}
