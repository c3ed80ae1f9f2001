#!lua
-- Writes a record, and what changes beside it, if the record is still the one that was read and the caller's clock is right.
-- KEYS  the record, then what the effects need: all in one slot
-- ARGV  1 the version that was read ('' for none), 2 the caller's now, 3 the new record ('' for none), 4 until when it is kept,
--       5 the number of the key that a new number takes ('' for none),
--       then each effect: the number of its key, how many words follow, the command, its arguments after the key
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if math.abs(now - tonumber(ARGV[2])) > 1000 then return {'clock', now} end
local version = redis.call('GETRANGE', KEYS[1], 5, 28)
if version ~= ARGV[1] then return {'stale', redis.call('GET', KEYS[1])} end
if ARGV[5] ~= '' and redis.call('EXISTS', KEYS[tonumber(ARGV[5])]) == 1 then return {'taken'} end
if ARGV[3] == '' then
  redis.call('UNLINK', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[3], 'PXAT', ARGV[4])
end
local at = 6
while ARGV[at] do
  local key, last = KEYS[tonumber(ARGV[at])], at + 1 + ARGV[at + 1]
  redis.call(ARGV[at + 2], key, unpack(ARGV, at + 3, last))
  at = last + 1
end
return {'done'}
