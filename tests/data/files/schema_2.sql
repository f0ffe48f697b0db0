-- A file of schema 2, dumped by the program that wrote it.
BEGIN TRANSACTION;
CREATE TABLE alert_event (
    number integer primary key, event_id text not null, rule_id text not null, name text not null,
    metric text not null, state text not null, severity text not null, venue text not null,
    symbol_y text not null, symbol_x text not null, timeframe text not null, at_us integer not null,
    value real, threshold real not null, text text not null);
INSERT INTO "alert_event" VALUES(1,'x','x','x','x','x','x','x','x','x','x',1791382980000000,2.5,2.0,'x');
CREATE TABLE alert_rule (rule_id text primary key, body text not null, position integer not null);
INSERT INTO "alert_rule" VALUES('wide','{"rule_id": "wide", "metric": "zscore", "threshold": 2.0}',0);
CREATE TABLE bar (
    venue text not null, symbol text not null, timeframe text not null, ts_us integer not null,
    open real not null, high real not null, low real not null, close real not null, volume real not null,
    vwap real, trades integer not null, taker_buy_volume real not null, complete integer not null,
    primary key (venue, symbol, timeframe, ts_us)) without rowid;
INSERT INTO "bar" VALUES('binance-um','BTCUSDT','1s',1791382980000000,83091.7,83091.9,83091.7,83091.9,3.99333333333333317938e-01,83091.8779632721,3,0.044,1);
INSERT INTO "bar" VALUES('binance-um','BTCUSDT','1s',1791382981000000,83092.0,8.30920999999999912704e+04,83092.0,8.30920999999999912704e+04,1.9799999999999998157e-01,8.30920555555555620259e+04,2,0.088,0);
CREATE TABLE gap (
    venue text not null, stream text not null, symbol text not null, first_id integer not null,
    last_id integer not null, cause text not null, found_us integer not null, filled_us integer,
    note text not null default '', primary key (venue, stream, symbol, first_id, found_us)) without rowid;
INSERT INTO "gap" VALUES('binance-um','aggTrade','BTCUSDT',5,9,'missed',1791382980000007,NULL,'');
INSERT INTO "gap" VALUES('binance-um','aggTrade','BTCUSDT',20,21,'missed',1791382980000008,1791382980000009,'');
CREATE TABLE instrument (
    instrument integer primary key, venue text not null, stream text not null, symbol text not null,
    price_scale integer not null, qty_scale integer not null, unique (venue, stream, symbol));
INSERT INTO "instrument" VALUES(1,'binance-um','aggTrade','BTCUSDT',11,3);
CREATE TABLE note (key text primary key, value text not null);
INSERT INTO "note" VALUES('until','99');
CREATE TABLE trade (
    instrument integer not null, trade_id integer not null, since_us integer not null,
    price integer not null, qty integer not null, primary key (instrument, trade_id)) without rowid;
INSERT INTO "trade" VALUES(1,0,24157380000000,8309170000000000,-22);
INSERT INTO "trade" VALUES(1,1,24157380400000,8309180000000000,44);
INSERT INTO "trade" VALUES(1,3,24157381200000,8309200000000000,88);
CREATE TABLE trade_exact (
    instrument integer not null, trade_id integer not null, ts_us integer not null,
    price real not null, qty real not null, primary key (instrument, trade_id)) without rowid;
INSERT INTO "trade_exact" VALUES(1,2,1791382980800000,83091.9,-3.33333333333333314829e-01);
INSERT INTO "trade_exact" VALUES(1,4,1791382981600000,8.30920999999999912704e+04,-1.09999999999999986677e-01);
CREATE VIEW trades as
    select venue, stream, symbol, trade_id, since_us + 1767225600000000 ts_us,
           price / (case price_scale when 0 then 1e0 when 1 then 1e1 when 2 then 1e2 when 3 then 1e3 when 4 then 1e4 when 5 then 1e5 when 6 then 1e6 when 7 then 1e7 when 8 then 1e8 when 9 then 1e9 when 10 then 1e10 when 11 then 1e11 when 12 then 1e12 end) price, abs(qty) / (case qty_scale when 0 then 1e0 when 1 then 1e1 when 2 then 1e2 when 3 then 1e3 when 4 then 1e4 when 5 then 1e5 when 6 then 1e6 when 7 then 1e7 when 8 then 1e8 when 9 then 1e9 when 10 then 1e10 when 11 then 1e11 when 12 then 1e12 end) qty, qty < 0 buyer_is_maker
    from trade join instrument using (instrument)
    union all
    select venue, stream, symbol, trade_id, ts_us, price, abs(qty), qty < 0
    from trade_exact join instrument using (instrument);
CREATE VIEW bars as
    select venue, symbol, timeframe, ts_us, open, high, low, close, volume, vwap, trades, taker_buy_volume, complete
    from bar;
CREATE VIEW gaps as select venue, stream, symbol, first_id, last_id, cause, found_us, filled_us, note from gap;
CREATE VIEW alert_history as
    select event_id, rule_id, name, metric, state, severity, venue, symbol_y, symbol_x, timeframe, at_us, value,
           threshold, text, number
    from alert_event;
PRAGMA user_version = 2;
COMMIT;
