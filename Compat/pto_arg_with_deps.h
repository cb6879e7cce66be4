/* CoreTaskArgs that keeps the ids of its dependencies itself. */
#ifndef PTO2_COMPAT_ARG_WITH_DEPS_H
#define PTO2_COMPAT_ARG_WITH_DEPS_H

#include "pto_orchestration_api.h"

template <int N = 16> class CoreTaskArgsWithDeps : public CoreTaskArgs {
public:
    /* Waits for them, and keeps what they have put out. */
    template <typename... Ids> void add_dep(Ids... ids) {
        (add_one(ids, DEP_WAIT | DEP_RETAIN), ...);
    }
    template <typename... Ids> void add_dep_wait(Ids... ids) { (add_one(ids, DEP_WAIT), ...); }

    void reset() {
        CoreTaskArgs::reset();
        count_ = 0;
    }

private:
    void add_one(PTO2TaskId id, DepFlags kind) {
        if (count_ == 0 && explicit_dep_count() != 0) {
            return set_error("add_dep after set_dependencies");
        }
        if (count_ == uint32_t(N)) return set_error("add_dep: more than there is room for");
        ids_[count_] = id;
        own_kinds_[count_++] = kind;
        set_dependencies(nullptr, 0);
        set_dependencies_with_kinds(ids_, own_kinds_, count_);
    }

    PTO2TaskId ids_[N > 0 ? N : 1];
    DepFlags own_kinds_[N > 0 ? N : 1];
    uint32_t count_ = 0;
};

#endif
