"""The event loop: first what is decided at each close, then what the fills earn and cost.

    close of t          the rule decides
    close of t + 1      y is filled
    close of t + 1 + L  x is filled, L = latency_bars

A trade's two legs are followed by themselves, from its first fill to its last: with latency, x of one trade may still
be on its way out while y of the next is on its way in. Money is counted at closes; what a fill costs beyond the close
is a cost of its own, so that gross is what the legs earn and net = gross - fees - slippage - funding.
"""

from typing import NamedTuple

import numpy as np

from analytics.signals.reversion import EXIT, STAYS, STOP, step
from utils.compiled import compiled, inlined

TIME, RUIN, END, OPEN = 3, 4, 5, 6  # ends of a trade beside EXIT and STOP
WHY = {EXIT: "exit", STOP: "stop", TIME: "time", RUIN: "ruin", END: "end", OPEN: "open"}
BARS, NEWEST, SUM, MOST = range(4)  # of the use made of the capital
AT, UNTIL, SIDE, REASON = range(4)  # of an event: close of the entry, close of the exit or n, +1 or -1, why it ends
COLUMNS = (
    "side",
    "entry_decided",
    "entry_bar",
    "exit_decided",
    "exit_bar",
    "why",
    "units_y",
    "units_x",
    "hedge_ratio",
    "entry_y",
    "entry_x",
    "exit_y",
    "exit_x",
    "gross_y",
    "gross_x",
    "fees",
    "slippage",
    "funding",
    "traded",
    "mae",
    "mfe",
)
(
    C_SIDE,
    C_AT,
    C_ENTRY,
    C_UNTIL,
    C_EXIT,
    C_WHY,
    C_UNITS_Y,
    C_UNITS_X,
    C_RATIO,
    C_ENTRY_Y,
    C_ENTRY_X,
    C_EXIT_Y,
    C_EXIT_X,
    C_GROSS_Y,
    C_GROSS_X,
    C_FEES,
    C_SLIPPAGE,
    C_FUNDING,
    C_TRADED,
    C_MAE,
    C_MFE,
) = range(len(COLUMNS))


class Rule(NamedTuple):
    """When to enter and leave."""

    entry_z: float
    exit_z: float
    stop_z: float
    time_stop: float  # half-lives; only with `life`
    free: bool  # whether a stop may be followed by an entry at once
    flatten: int  # from this close on nothing is entered and all is left; n never


class Money(NamedTuple):
    """How much, and what it costs."""

    capital: float
    leverage: float
    compound: bool
    lot_y: float
    lot_x: float
    fee: float  # share of the notional of a fill
    slip_y: float
    slip_x: float
    latency: int
    rolled: bool
    roll_share: float


class Use(NamedTuple):
    """How the capital was used."""

    skipped: int  # entries without a size: the capital is less than a lot, or the ratio is not known
    market_bars: int  # with a leg held
    leverage_sum: float  # of notional over equity at their closes
    leverage_most: float
    ruined: int  # close at which nothing was left, after which nothing is traded; n where it never came to that


@compiled
def trade(
    y: np.ndarray,
    x: np.ndarray,
    units: np.ndarray,
    rates: np.ndarray,
    zscore: np.ndarray,
    life: np.ndarray,
    first: int,
    rule: Rule,
    money: Money,
    position: np.ndarray,
    equity: np.ndarray,
) -> tuple[np.ndarray, Use]:
    """Trades the rule from the close of bar `first` on: rows of COLUMNS, shape (trades, columns), and the use made.

    See `decide` and `account`; `position` and `equity`, shape (n,), are overwritten.
    """
    events = np.empty((y.size - first, 4), np.int64)  # no close enters twice
    count = decide(zscore, life, first, rule, position, events)
    rows = np.empty((count, len(COLUMNS)))
    made, use = account(y, x, units, rates, first, money, events[:count], equity, rows)
    position[use.ruined :] = 0
    return rows[:made], use


@compiled
def decide(
    zscore: np.ndarray, life: np.ndarray, first: int, rule: Rule, position: np.ndarray, events: np.ndarray
) -> int:
    """Position decided at each close from `first` on, and the events of the trades; their number.

    life : half-life at each bar that may enter; empty where there is no time stop
    position : int8, shape (n,), is filled
    events : integers, shape (trades or more, 4), are filled: AT, UNTIL, SIDE, REASON
    """
    n, count, held, stopped, entered, limit, t = zscore.size, 0, 0, 0, 0, np.inf, first
    position[:] = 0
    while t < n:
        # What most bars are, passed over: the rule would leave all as it is.
        if held == 0 and stopped == 0:
            while t < n and not abs(zscore[t]) > rule.entry_z:
                t += 1
        elif held != 0:
            end = min(n, rule.flatten)
            while t < end and t - entered < limit and rule.exit_z <= -held * zscore[t] <= rule.stop_z:
                position[t] = held
                t += 1
        if t == n:
            break
        before = held
        held, left, stopped = step(zscore[t], before, stopped, rule.entry_z, rule.exit_z, rule.stop_z)
        if before != 0 and left == STAYS and t - entered >= limit:
            held, left, stopped = 0, TIME, before
        if rule.free:
            stopped = 0
        if t >= rule.flatten:
            left = END if before != 0 and left == STAYS else left
            held = 0
        position[t] = held
        if before != 0 and left != STAYS:
            events[count - 1, UNTIL], events[count - 1, REASON] = t, left
        if held != 0 and (before == 0 or left != STAYS):
            events[count, AT], events[count, UNTIL] = t, n
            events[count, SIDE], events[count, REASON] = held, OPEN
            count += 1
            entered = t
            if life.size > 0:
                limit = rule.time_stop * life[t] if life[t] == life[t] else np.inf
        t += 1
    return count


@compiled
def account(
    y: np.ndarray,
    x: np.ndarray,
    units: np.ndarray,
    rates: np.ndarray,
    first: int,
    money: Money,
    events: np.ndarray,
    equity: np.ndarray,
    rows: np.ndarray,
) -> tuple[int, Use]:
    """Equity at each close, and a row of COLUMNS for each trade; the number of rows.

    units : units of x per unit of y, shape (n,)
    rates : funding of a long position in y and in x over each bar, shares of its notional, shape (2, n) or (2, 0)
    events : of `decide`, shape (trades, 4)
    equity : shape (n,), is overwritten
    rows : shape (trades, columns), is filled
    """
    n, count, skipped, wrote, done, cash = y.size, 0, 0, first, first, money.capital
    aim, use = np.empty(n if money.rolled else 0), np.zeros(4)
    equity[: first + 1] = cash
    ruined = n
    for event in range(events.shape[0]):
        at, until = events[event, AT], events[event, UNTIL]
        cash = _settle(equity, done, at, wrote, cash)
        done = at
        if cash <= 0.0 and ruined == n:
            ruined = at
        if ruined < n or at + 1 >= n:
            break
        size_y, size_x = _sizes(y[at], x[at], units[at], cash, money)
        if not (size_y > 0.0 and np.isfinite(size_x)) or (size_x == 0.0 and units[at] != 0.0):
            skipped += 1
            continue
        side, row = events[event, SIDE], rows[count]
        _begin(row, side, at, size_y, size_x, units[at], y)
        done, cash, end = _follow(y, x, units, rates, money, row, until, cash, wrote, equity, aim, use)
        wrote = min(end + 1 + money.latency, n - 1)
        closed = end + 1 + money.latency < n
        row[C_UNTIL], row[C_EXIT] = (end, end + 1) if closed else (-1, -1)
        row[C_WHY] = OPEN if not closed else (events[event, REASON] if end == until else RUIN)
        ruined = n if end == until else end
        count += 1
    _settle(equity, done, n - 1, wrote, cash)
    if money.latency > 0:
        _use_late(y, x, rows[:count], events, ruined, money.latency, aim, equity, use)
    return count, Use(skipped, int(use[BARS]), use[SUM], use[MOST], ruined)


@compiled
def _begin(row: np.ndarray, side: int, at: int, size_y: float, size_x: float, ratio: float, y: np.ndarray) -> None:
    """The row of a trade that is decided at the close `at`."""
    row[:] = 0.0
    row[C_SIDE], row[C_AT], row[C_ENTRY] = side, at, at + 1
    row[C_UNITS_Y], row[C_UNITS_X], row[C_RATIO] = side * size_y, -side * size_x, ratio
    row[C_ENTRY_Y], row[C_ENTRY_X], row[C_EXIT_Y], row[C_EXIT_X] = y[at + 1], np.nan, np.nan, np.nan


@inlined
def _follow(
    y: np.ndarray,
    x: np.ndarray,
    units: np.ndarray,
    rates: np.ndarray,
    money: Money,
    row: np.ndarray,
    until: int,
    cash: float,
    wrote: int,
    equity: np.ndarray,
    aim: np.ndarray,
    use: np.ndarray,
) -> tuple[int, float, int]:
    """One trade from its first fill to its last, or to the last bar: the last final close, equity there, its exit.

    Up to the close of the exit no other trade can add to a bar any more: equity is final there. What the fills after
    it do is left in `equity` as a change; up to `wrote` it holds such changes of trades before.
    """
    at, lag, n, final = int(row[C_AT]), money.latency, y.size, int(row[C_AT])
    hold_y, hold_x, goal, u = 0.0, 0.0, row[C_UNITS_X], at + 1
    gross_y, gross_x, worst, best, shares, most = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    still = n if money.rolled or rates.shape[1] > 0 else max(wrote, at + 1 + lag)  # after it nothing but prices moves
    if money.rolled:
        aim[at] = goal
    while u < n and u <= until + 1 + lag:
        if still < u < until:
            u, cash, gross_y, gross_x, worst, best, shares, most = _carried(
                y, x, hold_y, hold_x, u, min(until, n - 1), cash, equity, gross_y, gross_x, worst, best, shares, most
            )
            final = u - 1
            if cash <= 0.0:
                until = final
                continue
        earned_y, earned_x, cost = hold_y * (y[u] - y[u - 1]), hold_x * (x[u] - x[u - 1]), 0.0
        gross_y, gross_x = gross_y + earned_y, gross_x + earned_x
        worst, best = min(worst, gross_y + gross_x), max(best, gross_y + gross_x)
        if rates.shape[1] > 0:
            cost = rates[0, u] * hold_y * y[u - 1] + rates[1, u] * hold_x * x[u - 1]
            row[C_FUNDING] += cost
        if u <= at + 1 + lag or u > until or money.rolled:  # else nothing can be due to be filled
            new_y, new_x = _held(row, at, until, u, lag, goal, aim, hold_x)
            cost += _fill(new_y - hold_y, y[u], money.fee, money.slip_y, row)
            cost += _fill(new_x - hold_x, x[u], money.fee, money.slip_x, row)
            _note(row, at, until, u, lag, y[u], x[u])
            hold_y, hold_x = new_y, new_x
        change = (equity[u] if u <= wrote else 0.0) + (earned_y + earned_x) - cost
        if u <= until:
            cash += change
            change, final = cash, u
            if cash <= 0.0 and u < until:
                until = u
            elif money.rolled and u < until:
                goal = _rolled(goal, row[C_UNITS_Y] * units[u], money)
                aim[u] = goal
        equity[u] = change
        share = (abs(hold_y) * y[u] + abs(hold_x) * x[u]) / cash if cash > 0.0 else 0.0
        shares, most = shares + share, max(most, share)
        u += 1
    _used(use, at + 1, min(until + lag, n - 1), shares, most)
    row[C_GROSS_Y], row[C_GROSS_X], row[C_MAE], row[C_MFE] = gross_y, gross_x, worst, best
    return final, cash, until


@inlined
def _carried(
    y: np.ndarray,
    x: np.ndarray,
    hold_y: float,
    hold_x: float,
    u: int,
    end: int,
    cash: float,
    equity: np.ndarray,
    gross_y: float,
    gross_x: float,
    worst: float,
    best: float,
    shares: float,
    most: float,
) -> tuple[int, float, float, float, float, float, float, float]:
    """The bars from `u` up to `end`, or to the one that leaves nothing: what `_follow` does at one without a fill.

    Most bars are such ones, and without its questions each takes less than half the time.
    """
    while u < end and cash > 0.0:
        earned_y, earned_x = hold_y * (y[u] - y[u - 1]), hold_x * (x[u] - x[u - 1])
        gross_y, gross_x = gross_y + earned_y, gross_x + earned_x
        worst, best = min(worst, gross_y + gross_x), max(best, gross_y + gross_x)
        cash += earned_y + earned_x
        equity[u] = cash
        share = (abs(hold_y) * y[u] + abs(hold_x) * x[u]) / cash if cash > 0.0 else 0.0
        shares, most = shares + share, max(most, share)
        u += 1
    return u, cash, gross_y, gross_x, worst, best, shares, most


@compiled
def _held(
    row: np.ndarray, at: int, until: int, u: int, lag: int, goal: float, aim: np.ndarray, hold_x: float
) -> tuple[float, float]:
    """Units of y and x after the fills at the close of `u`."""
    decided = u - 1 - lag  # the close that x follows now
    if decided < at:
        new_x = hold_x
    elif decided >= until:
        new_x = 0.0
    else:
        new_x = aim[decided] if aim.size > 0 else goal
    return row[C_UNITS_Y] if u <= until else 0.0, new_x


@compiled
def _note(row: np.ndarray, at: int, until: int, u: int, lag: int, y: float, x: float) -> None:
    """Prices of the fills that begin and end a leg."""
    if u == until + 1:
        row[C_EXIT_Y] = y
    if u - 1 - lag == at:
        row[C_ENTRY_X] = x
    if u - 1 - lag == until:
        row[C_EXIT_X] = x


@compiled
def _settle(equity: np.ndarray, done: int, until: int, wrote: int, cash: float) -> float:
    """Makes equity final after `done` up to `until`, where changes are known up to `wrote`; equity there."""
    for u in range(done + 1, min(until, wrote) + 1):
        cash += equity[u]
        equity[u] = cash
    equity[max(done, wrote) + 1 : until + 1] = cash
    return cash


@compiled
def _rolled(goal: float, wanted: float, money: Money) -> float:
    """Units of x to be held from now on: those of before while they are near enough, or the ratio is not known."""
    fresh = -_lots(wanted, money.lot_x)
    return fresh if abs(fresh - goal) > money.roll_share * abs(goal) else goal


@compiled
def _used(use: np.ndarray, start: int, end: int, shares: float, most: float) -> None:
    """Counts the bars that end with a position, without latency: with it `_use_late` does."""
    use[BARS] += end + 1 - max(start, use[NEWEST] + 1)
    use[NEWEST] = end
    use[SUM] += shares
    use[MOST] = max(use[MOST], most)


@compiled
def _use_late(
    y: np.ndarray,
    x: np.ndarray,
    rows: np.ndarray,
    events: np.ndarray,
    ruined: int,
    lag: int,
    aim: np.ndarray,
    equity: np.ndarray,
    use: np.ndarray,
) -> None:
    """What `_used` counts, where trades overlap: of all that they hold together, over the equity that is final."""
    worth, event, n = np.zeros(y.size), 0, y.size
    for row in rows:
        at = int(row[C_AT])
        while events[event, AT] != at:
            event += 1
        until = min(events[event, UNTIL], ruined)
        for u in range(at + 1, min(until + 1, n)):
            worth[u] += abs(row[C_UNITS_Y]) * y[u]
        for u in range(at + 1 + lag, min(until + 1 + lag, n)):
            worth[u] += abs(aim[u - 1 - lag] if aim.size > 0 else row[C_UNITS_X]) * x[u]
    use[:] = 0.0
    for u in range(n):
        if worth[u] > 0.0:
            share = worth[u] / equity[u] if equity[u] > 0.0 else 0.0
            use[BARS], use[SUM], use[MOST] = use[BARS] + 1, use[SUM] + share, max(use[MOST], share)


@compiled
def _sizes(y: float, x: float, units: float, cash: float, money: Money) -> tuple[float, float]:
    """Units of y, and of x with the sign of the ratio, as whole lots; of y never more than the capital allows."""
    budget = money.leverage * (cash if money.compound else money.capital)
    size_y = budget / (y + abs(units) * x)
    if money.lot_y > 0.0:
        size_y = np.floor(size_y / money.lot_y * (1.0 + 1e-12)) * money.lot_y
    return size_y, _lots(size_y * units, money.lot_x)


@compiled
def _lots(size: float, lot: float) -> float:
    """The nearest whole multiple."""
    return np.rint(size / lot) * lot if lot > 0.0 else size


@compiled
def _fill(change: float, price: float, fee: float, slip: float, row: np.ndarray) -> float:
    """What it costs to trade so many units, and its entry in the row."""
    notional = abs(change) * price
    row[C_FEES] += fee * notional
    row[C_SLIPPAGE] += slip * notional
    row[C_TRADED] += notional
    return (fee + slip) * notional
