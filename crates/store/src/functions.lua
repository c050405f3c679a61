#!lua name=upnext_v1

-- Stores a blob unless the known one has seen as much of the log. Bytes 2 to 17 of a blob are its position,
-- big-endian; they are compared byte by byte, since string comparison here follows the server's locale.
local function put_newer(keys, args)
  local known = redis.call('GETRANGE', keys[1], 1, 16)
  if #known == 16 then
    local is_newer = false
    for at = 1, 16 do
      local old, new = string.byte(known, at), string.byte(args[1], at + 1)
      if old ~= new then
        is_newer = old < new
        break
      end
    end
    if not is_newer then return 0 end
  end
  redis.call('SET', keys[1], args[1])
  return 1
end

-- Replaces a watermark that still is what its owner last wrote; an absent one is the empty text.
local function advance(keys, args)
  local known = redis.call('GET', keys[1]) or ''
  if known ~= args[1] then return 0 end
  redis.call('SET', keys[1], args[2])
  return 1
end

redis.register_function('upnext_put_newer_v1', put_newer)
redis.register_function('upnext_advance_v1', advance)
