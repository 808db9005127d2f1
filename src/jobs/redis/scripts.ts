/**
 * Changes that must be atomic, as Lua scripts. KEYS[1] is the prefix of every key; it contains a hash tag, so that on a
 * cluster all keys are on one node. ARGV[1] is JSON, `a` below; other arguments are bytes. Only commands of Redis 6.2 are
 * used, times are those of Redis, and no script walks all jobs. A script may run twice with the same arguments, when a
 * connection is lost before its answer comes.
 *
 *   unfinished   set: ids of jobs that wait or run
 *   running      sorted set: ids of those that run, by time of starting
 *   load         hash: what unfinished jobs occupy: bytes, and jobs:<owner>, bytes:<owner>
 *   order        hash: now, o:<owner>: see tagOf
 *   list:<owner>:<status>  sorted set: ids by time of creation
 *   finished     sorted set: ids by time of ending
 *   kept, bytes  hash: bytes of a finished job's pictures and events, and its list; the sum of these bytes
 *   job:<id>         hash: the record
 *   job:<id>:input   hash: the input pictures, until it ends
 *   job:<id>:files   hash: the generated pictures
 *   job:<id>:events  stream, entries 0-1, 0-2 ...: the events, numbered as clients see them
 *   serves:<model>       exists while a replica announces that it serves the model
 *   key:<owner>:<value>  hash: the job and fingerprint of an owner's Idempotency-Key
 */
const SHARED = `
local p, a = KEYS[1], cjson.decode(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function tell(id, event, data)
  local events = p..'job:'..id..':events'
  local last = redis.call('XREVRANGE', events, '+', '-', 'COUNT', 1)[1]
  local next = last and tonumber(string.sub(last[1], 3)) + 1 or 1
  redis.call('XADD', events, 'MAXLEN', a.kept, '0-'..next, 'event', event, 'data', data)
  redis.call('PUBLISH', p..'news', id)
end
local function setStatus(id, status)
  local job = p..'job:'..id
  local record = redis.call('HMGET', job, 'owner', 'status', 'createdAt')
  local owner = record[1] or ''
  if record[2] then redis.call('ZREM', p..'list:'..owner..':'..record[2], id) end
  redis.call('ZADD', p..'list:'..owner..':'..status, record[3] or now, id)
  redis.call('HSET', job, 'status', status)
  return 'list:'..owner..':'..status
end
local function addLoad(owner, jobs, bytes)
  for field, change in pairs({ bytes = bytes, ['jobs:'..owner] = jobs, ['bytes:'..owner] = bytes }) do
    if redis.call('HINCRBY', p..'load', field, change) <= 0 then redis.call('HDEL', p..'load', field) end
  end
end
-- The job no longer waits or runs. Whatever went wrong with the sums ends when no job is left.
local function leave(id)
  if redis.call('SREM', p..'unfinished', id) == 0 then return false end
  redis.call('ZREM', p..'running', id)
  local record = redis.call('HMGET', p..'job:'..id, 'owner', 'inputBytes')
  addLoad(record[1] or '', -1, 0 - (record[2] or 0))
  if redis.call('SCARD', p..'unfinished') == 0 then redis.call('DEL', p..'load', p..'order') end
  redis.call('DEL', p..'job:'..id..':input')
  return true
end
local function drop(id)
  local key = redis.call('HGET', p..'job:'..id, 'key')
  if key and redis.call('HGET', p..'key:'..key, 'id') == id then redis.call('DEL', p..'key:'..key) end
  redis.call('DEL', p..'job:'..id, p..'job:'..id..':files', p..'job:'..id..':events')
  local bytes, list = string.match(redis.call('HGET', p..'kept', id) or '', '^(%d+) (.*)$')
  if bytes then
    redis.call('DECRBY', p..'bytes', bytes)
    redis.call('ZREM', p..list, id)
  end
  redis.call('HDEL', p..'kept', id)
  redis.call('ZREM', p..'finished', id)
end
-- Drops the oldest finished jobs that have expired, or exceed the bounds in number and bytes; at most 100, and not the newest.
local function trim()
  local excess = redis.call('ZCARD', p..'finished') - a.history
  local old = redis.call('ZRANGE', p..'finished', 0, 99, 'WITHSCORES')
  local newest = redis.call('ZREVRANGE', p..'finished', 0, 0)[1]
  for i = 1, #old, 2 do
    local expired = tonumber(old[i + 1]) <= now - a.ttl
    local over = excess > 0 or tonumber(redis.call('GET', p..'bytes') or 0) > a.bound
    if not expired and (old[i] == newest or not over) then break end
    drop(old[i])
    excess = excess - 1
  end
end
-- By how much a job exceeds its room: see deficit() in scheduler/fair-share.ts.
local function deficit(total, own, wanted, limit)
  local missing = total + wanted - limit
  if not a.shared then return missing end
  return math.max(missing, own + wanted - (limit - total))
end
-- nil if there is room for the job; else what is exhausted, how many jobs must end first, how much the owner has of it, and
-- how far those are that run.
local function refusal()
  local load = redis.call('HMGET', p..'load', 'bytes', 'jobs:'..a.owner, 'bytes:'..a.owner)
  local jobs = redis.call('SCARD', p..'unfinished') + a.held.jobs
  local bytes = (load[1] or 0) + a.held.bytes
  local what, own = 'jobs', (load[2] or 0) + a.own.jobs
  local ends = deficit(jobs, own, 1, a.limit)
  if ends <= 0 then
    if a.bytes == 0 or bytes == 0 then return nil end
    what, own = 'bytes', (load[3] or 0) + a.own.bytes
    local missing = deficit(bytes, own, a.bytes, a.inputBytes)
    if missing <= 0 then return nil end
    ends = math.ceil(missing * jobs / bytes)
  end
  local answer = { 'full', what, ends, own }
  local running = redis.call('ZRANGE', p..'running', 0, 15, 'WITHSCORES')
  for i = 1, #running, 2 do
    local record = redis.call('HMGET', p..'job:'..running[i], 'step', 'of')
    for _, value in ipairs({ now - running[i + 1], record[1] or 0, record[2] or 0 }) do
      table.insert(answer, tonumber(value))
    end
  end
  return answer
end
`;

/** A job's owner and bytes, and what is held by others who are being checked -> nil, or {'full', ...}: see refusal. */
export const CHECK_ROOM = `${SHARED}
return refusal()`;

/**
 * A job and the limits; then its image and mask -> {'new', tag}, {'full', ...}, {'conflict'} or {'known', id}.
 *
 * The tag decides which job goes first, the smallest one: start-time fair queueing (Goyal et al. 1996). An owner's next
 * job gets the tag after its last one, or after that of the job that was started last if that is greater. Owners whose
 * jobs wait therefore take turns, and nobody saves up turns. Tags start anew when no job waits; past the greatest
 * priority of BullMQ they stay equal, and jobs go first come, first served.
 */
export const SUBMIT = `${SHARED}
local id, key = a.id, a.record.key
if key then
  local known = redis.call('HMGET', p..'key:'..key, 'id', 'fingerprint')
  if known[1] and known[1] ~= id and redis.call('EXISTS', p..'job:'..known[1]) == 1 then
    return known[2] == a.fingerprint and { 'known', known[1] } or { 'conflict' }
  end
end
local job = p..'job:'..id
if redis.call('EXISTS', job) == 1 then return { 'new', redis.call('HGET', job, 'tag') } end -- sent twice
local full = refusal()
if full then return full end
local before = redis.call('SCARD', p..'unfinished')
local idle = before == redis.call('ZCARD', p..'running')
local tags = idle and {} or redis.call('HMGET', p..'order', 'now', 'o:'..a.owner)
local tag = math.min(a.maxTag, math.max(tags[1] or 0, tags[2] or 0) + 1)
-- First, and not the DEL: a Redis that is full refuses this, but nothing more after the first write of a script.
redis.call('HSET', job, 'createdAt', now, 'inputBytes', a.bytes, 'tag', tag)
for field, value in pairs(a.record) do redis.call('HSET', job, field, value) end
if idle then redis.call('DEL', p..'order') end
redis.call('HSET', p..'order', 'o:'..a.owner, tag)
if key then redis.call('HSET', p..'key:'..key, 'id', id, 'fingerprint', a.fingerprint) end
if #ARGV[2] > 0 then redis.call('HSET', job..':input', 'image', ARGV[2]) end
if #ARGV[3] > 0 then redis.call('HSET', job..':input', 'mask', ARGV[3]) end
redis.call('SADD', p..'unfinished', id)
addLoad(a.owner, 1, a.bytes)
setStatus(id, 'queued')
tell(id, 'queued', '{"position":'..before..'}')
return { 'new', tag }`;

/** id -> 1 if it should run: it exists and has not ended. */
export const START = `${SHARED}
if redis.call('SISMEMBER', p..'unfinished', a.id) == 0 then return 0 end
local tag = redis.call('HGET', p..'job:'..a.id, 'tag')
if not tag then -- its record was lost
  leave(a.id)
  return 0
end
setStatus(a.id, 'running')
redis.call('HSETNX', p..'job:'..a.id, 'startedAt', now)
redis.call('ZADD', p..'running', 'NX', now, a.id)
local last = redis.call('HGET', p..'order', 'now')
redis.call('HSET', p..'order', 'now', math.max(last or 0, tag))
return 1`;

/**
 * id: for a job that this replica cannot run, because it does not have the model -> how often that has happened to it,
 * and the milliseconds for which no replica has had the model, -1 if one has it; nil if the job has ended.
 */
export const GIVE_BACK = `${SHARED}
if redis.call('SISMEMBER', p..'unfinished', a.id) == 0 then return nil end
local job = p..'job:'..a.id
setStatus(a.id, 'queued')
redis.call('HDEL', job, 'startedAt')
redis.call('ZREM', p..'running', a.id)
local times = redis.call('HINCRBY', job, 'givenBack', 1)
if redis.call('EXISTS', p..'serves:'..(redis.call('HGET', job, 'model') or '')) == 1 then
  redis.call('HDEL', job, 'unservedSince')
  return { times, -1 }
end
redis.call('HSETNX', job, 'unservedSince', now)
return { times, now - redis.call('HGET', job, 'unservedSince') }`;

/** id, step, of, data -> 1 if it should continue, 0 if it has ended: cancelled, or finished by another replica. */
export const PROGRESS = `${SHARED}
if redis.call('SISMEMBER', p..'unfinished', a.id) == 0 then return 0 end
redis.call('HSET', p..'job:'..a.id, 'step', a.step, 'of', a.of)
tell(a.id, 'progress', a.data)
return 1`;

/** id, status, event, data, mediaType and the bounds; then the files -> 1, or 0 if it had ended before: the first outcome counts. */
export const FINISH = `${SHARED}
if not leave(a.id) then return 0 end
local job, bytes = p..'job:'..a.id, 0
local list = setStatus(a.id, a.status)
redis.call('HSET', job, 'finishedAt', now, 'images', #ARGV - 1, 'mediaType', a.mediaType)
if a.status == 'failed' then redis.call('HSET', job, 'error', a.data) end
for i = 2, #ARGV do
  redis.call('HSET', job..':files', i - 2, ARGV[i])
  bytes = bytes + #ARGV[i]
end
tell(a.id, a.event, a.data)
for _, entry in ipairs(redis.call('XRANGE', job..':events', '-', '+')) do bytes = bytes + #entry[2][4] end
redis.call('ZADD', p..'finished', now, a.id)
redis.call('HSET', p..'kept', a.id, bytes..' '..list)
redis.call('INCRBY', p..'bytes', bytes)
redis.call('PUBLISH', p..'ended', a.id)
for _, part in ipairs({ '', ':files', ':events' }) do redis.call('PEXPIRE', job..part, a.ttl) end
local key = redis.call('HGET', job, 'key')
if key then redis.call('PEXPIRE', p..'key:'..key, a.ttl) end
trim()
return 1`;

/** The bounds: drops what has expired. */
export const TRIM = `${SHARED}
trim()`;

/** id: deletes a job that has ended. */
export const FORGET = `${SHARED}
drop(a.id)
return 1`;
