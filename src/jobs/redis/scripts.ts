/**
 * Changes that must be atomic, as Lua scripts. KEYS[1] is the prefix of every key; it contains a hash tag, so that on a
 * cluster all keys are on one node. Only commands of Redis 6.2 are used. A script may run twice with the same arguments,
 * when a connection is lost before its answer comes.
 *
 *   jobs         sorted set: ids by time of creation
 *   unfinished   set: ids of jobs that wait or run
 *   finished     sorted set: ids by time of ending
 *   sizes, bytes hash and sum: bytes of their pictures
 *   job:<id>         hash: the record
 *   job:<id>:input   hash: the input pictures, until it ends
 *   job:<id>:files   hash: the generated pictures
 *   job:<id>:events  stream, entries 0-1, 0-2 ...: the events, numbered as clients see them
 *   serves:<model>       exists while a replica announces that it serves the model
 *   key:<owner>:<value>  hash: the job and fingerprint of an owner's Idempotency-Key
 */
const SHARED = `
local p = KEYS[1]
local function tell(id, kept, event, data)
  local events = p..'job:'..id..':events'
  local last = redis.call('XREVRANGE', events, '+', '-', 'COUNT', 1)[1]
  local next = last and tonumber(string.sub(last[1], 3)) + 1 or 1
  redis.call('XADD', events, 'MAXLEN', kept, '0-'..next, 'event', event, 'data', data)
  redis.call('PUBLISH', p..'news', id)
end
local function drop(id)
  redis.call('DEL', p..'job:'..id, p..'job:'..id..':input', p..'job:'..id..':files', p..'job:'..id..':events')
  redis.call('DECRBY', p..'bytes', redis.call('HGET', p..'sizes', id) or 0)
  redis.call('HDEL', p..'sizes', id)
  redis.call('ZREM', p..'finished', id)
  redis.call('ZREM', p..'jobs', id)
end
`;

/** id, now, limit, events kept, key, fingerprint, image, mask, then the record's fields -> 'new', 'full', 'conflict' or the id of the known job. */
export const SUBMIT = `${SHARED}
local id, now, limit, kept, key, print, image, mask = unpack(ARGV, 1, 8)
if key ~= '' then
  local known = redis.call('HMGET', p..'key:'..key, 'id', 'fingerprint')
  if known[1] and redis.call('EXISTS', p..'job:'..known[1]) == 1 then
    return known[2] == print and known[1] or 'conflict'
  end
end
-- Sent again by a client whose connection was lost before the answer came.
if redis.call('EXISTS', p..'job:'..id) == 1 then return 'new' end
local waiting = redis.call('SCARD', p..'unfinished')
if waiting >= tonumber(limit) then return 'full' end
redis.call('HSET', p..'job:'..id, unpack(ARGV, 9))
if key ~= '' then redis.call('HSET', p..'key:'..key, 'id', id, 'fingerprint', print) end
if image ~= '' then redis.call('HSET', p..'job:'..id..':input', 'image', image) end
if mask ~= '' then redis.call('HSET', p..'job:'..id..':input', 'mask', mask) end
redis.call('ZADD', p..'jobs', now, id)
redis.call('SADD', p..'unfinished', id)
tell(id, kept, 'queued', '{"position":'..waiting..'}')
return 'new'`;

/** id, now -> 1 if it should run: it exists and has not ended. */
export const START = `${SHARED}
local id, now = unpack(ARGV)
if redis.call('SISMEMBER', p..'unfinished', id) == 0 then return 0 end
redis.call('HSET', p..'job:'..id, 'status', 'running')
redis.call('HSETNX', p..'job:'..id, 'startedAt', now)
return 1`;

/**
 * id: for a job that this replica cannot run, because it does not have the model -> how often that has happened to it,
 * and the milliseconds for which no replica has had the model, -1 if one has it; nil if the job has ended.
 */
export const GIVE_BACK = `${SHARED}
local id = ARGV[1]
if redis.call('SISMEMBER', p..'unfinished', id) == 0 then return nil end
local job = p..'job:'..id
redis.call('HSET', job, 'status', 'queued')
redis.call('HDEL', job, 'startedAt')
local times = redis.call('HINCRBY', job, 'givenBack', 1)
if redis.call('EXISTS', p..'serves:'..redis.call('HGET', job, 'model')) == 1 then
  redis.call('HDEL', job, 'unservedSince')
  return {times, -1}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSETNX', job, 'unservedSince', now)
return {times, now - redis.call('HGET', job, 'unservedSince')}`;

/** id, step, of, events kept, data -> 1 if it should continue, 0 if it has ended: cancelled, or finished by another replica. */
export const PROGRESS = `${SHARED}
local id, step, of, kept, data = unpack(ARGV)
if redis.call('SISMEMBER', p..'unfinished', id) == 0 then return 0 end
redis.call('HSET', p..'job:'..id, 'step', step, 'of', of)
tell(id, kept, 'progress', data)
return 1`;

/** id, now, ttl, bound in bytes, events kept, status, event, data, media type, files... -> 1, or 0 if it had ended before: the first outcome counts. */
export const FINISH = `${SHARED}
local id, now, ttl, bound, kept, status, event, data, media = unpack(ARGV, 1, 9)
if redis.call('SREM', p..'unfinished', id) == 0 then return 0 end
local job, bytes = p..'job:'..id, 0
redis.call('HSET', job, 'status', status, 'finishedAt', now, 'images', #ARGV - 9, 'mediaType', media)
if status == 'failed' then redis.call('HSET', job, 'error', data) end
for i = 10, #ARGV do
  redis.call('HSET', job..':files', i - 10, ARGV[i])
  bytes = bytes + #ARGV[i]
end
redis.call('DEL', job..':input')
redis.call('ZADD', p..'finished', now, id)
redis.call('HSET', p..'sizes', id, bytes)
local total = redis.call('INCRBY', p..'bytes', bytes)
tell(id, kept, event, data)
redis.call('PEXPIRE', job, ttl)
redis.call('PEXPIRE', job..':files', ttl)
redis.call('PEXPIRE', job..':events', ttl)
local key = redis.call('HGET', job, 'key')
if key then redis.call('PEXPIRE', p..'key:'..key, ttl) end
-- Expired jobs leave the lists; while the bytes exceed the bound, the oldest are dropped early.
local old = redis.call('ZRANGE', p..'finished', 0, 99, 'WITHSCORES')
for i = 1, #old, 2 do
  local expired = tonumber(old[i + 1]) <= tonumber(now) - tonumber(ttl)
  local over = tonumber(redis.call('GET', p..'bytes')) > tonumber(bound)
  if old[i] == id or not (expired or over) then break end
  drop(old[i])
end
return 1`;

/** id: deletes a job that has ended. */
export const FORGET = `${SHARED}
drop(ARGV[1])
return 1`;
