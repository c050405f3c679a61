#!lua name=upnext_v2

-- Whether a blob has seen more of the log than `known`, bytes 2 to 17 of the stored one: the position, big-endian. Four
-- numbers are compared, since string comparison here follows the server's locale.
local function is_newer(known, blob)
  local a, b, c, d = struct.unpack('>I4I4I4I4', known)
  local e, f, g, h = struct.unpack('>I4I4I4I4', blob, 2)
  if a ~= e then return a < e end
  if b ~= f then return b < f end
  if c ~= g then return c < g end
  return d < h
end

-- Stores each blob unless the known one has seen as much of the log; gives how many were stored.
local function put_newer(keys, args)
  local stored = 0
  for at = 1, #keys do
    local known = redis.call('GETRANGE', keys[at], 1, 16)
    if #known ~= 16 or is_newer(known, args[at]) then
      redis.call('SET', keys[at], args[at])
      stored = stored + 1
    end
  end
  return stored
end

-- Replaces a watermark that still is what its owner last wrote; an absent one is the empty text.
local function advance(keys, args)
  local known = redis.call('GET', keys[1]) or ''
  if known ~= args[1] then return 0 end
  redis.call('SET', keys[1], args[2])
  return 1
end

redis.register_function('upnext_put_newer_v2', put_newer)
redis.register_function('upnext_advance_v2', advance)
