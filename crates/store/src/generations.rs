//! Which generation of state serves, who builds the next one, and who still reads from which.

use std::time::Duration;

use redis::{Cmd, FromRedisValue, Value, cmd, from_redis_value};
use upnext_common::config;
use upnext_common::generation::{Generation, NotAGeneration};

use crate::address::Address;
use crate::bundle::Bundle;
use crate::lines::{Lines, Use, Wait};
use crate::{Keys, Layout, MalformedLayout, StoreError};

const WAIT: Wait = Wait { of: Use::Bulk, limit: Duration::from_secs(2), is_whole: true };
/// How long a reader counts after it last said what it reads.
pub const REPORT_TTL: Duration = Duration::from_secs(15);

/// Replaces a value that is what the caller thinks; an absent one is the empty text.
const REPLACE: &str = "if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end \
    redis.call('SET', KEYS[1], ARGV[2]) return 1";
/// Takes a lease that is free or ours already, for so many milliseconds.
const HOLD: &str = "local owner = redis.call('GET', KEYS[1]) \
    if owner and owner ~= ARGV[1] then return 0 end \
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return 1";
const RELEASE: &str = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end \
    return redis.call('DEL', KEYS[1])";
/// Notes what a reader reads, by the store's clock.
const REPORT: &str = "local now = redis.call('TIME')[1] \
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. now) return 1";
/// What readers read that reported within so many seconds; forgets the others.
const REPORTED: &str = "local now = tonumber(redis.call('TIME')[1]) \
    local found = {} \
    local all = redis.call('HGETALL', KEYS[1]) \
    for at = 1, #all, 2 do \
      local number, seen = string.match(all[at + 1], '(%d+) (%d+)') \
      if number and now - tonumber(seen) <= tonumber(ARGV[1]) then found[#found + 1] = number \
      else redis.call('HDEL', KEYS[1], all[at]) end \
    end \
    return found";

/// The few keys that stand above all generations. Not on any request's path.
pub struct Generations {
    lines: Lines,
    prefix: String,
}

impl Generations {
    /// Starts to connect in the background; a store that is away is no error. Needs a tokio runtime.
    ///
    /// # Errors
    /// When `url` is not an address.
    pub fn connect(url: &str, redis: &config::Redis) -> Result<Self, StoreError> {
        let keys = Keys::of(redis)?;
        let lines = Lines::open(Address::parse(url, &keys)?, keys);
        Ok(Self { lines, prefix: redis.key_prefix.clone() })
    }

    /// The generation that answers are made from; the first one where nothing else is said.
    ///
    /// # Errors
    /// [`StoreError::Timeout`], [`StoreError::Unavailable`], [`StoreError::BreakerOpen`], or
    /// [`StoreError::Malformed`]; so do the others.
    pub async fn serving(&self) -> Result<Generation, StoreError> {
        let text: Option<String> = self.get(&self.pointer()).await?;
        text.map_or(Ok(Generation::default()), |text| parse(&text))
    }

    /// Makes `to` the serving one, if `from` still is; whether it was.
    ///
    /// # Errors
    /// As [`Self::serving`]; then it is not known whether it was done.
    pub async fn flip(&self, from: Generation, to: Generation) -> Result<bool, StoreError> {
        let old = if from == Generation::default() { String::new() } else { from.to_string() };
        self.run(REPLACE, &self.pointer(), &[&old, &to.to_string()]).await
    }

    /// The generation that was begun and does not serve yet, and by which program.
    ///
    /// # Errors
    /// As [`Self::serving`].
    pub async fn building(&self) -> Result<Option<(Generation, String)>, StoreError> {
        let text: Option<String> = self.get(&self.begun()).await?;
        let Some(text) = text else { return Ok(None) };
        let (generation, program) = text.split_once(' ').unwrap_or((&text, ""));
        Ok(Some((parse(generation)?, program.to_owned())))
    }

    /// Notes which one is begun, and by which program; `None`: none any more.
    ///
    /// # Errors
    /// As [`Self::serving`].
    pub async fn note_building(&self, begun: Option<(Generation, &str)>) -> Result<(), StoreError> {
        let key = self.begun();
        let mut call = cmd(if begun.is_some() { "SET" } else { "DEL" });
        call.arg(&key);
        if let Some((generation, program)) = begun {
            call.arg(format!("{generation} {program}"));
        }
        let _: Value = self.ask(&key, &call).await?;
        Ok(())
    }

    /// How the states of a generation are laid out; `None` where it has none.
    ///
    /// # Errors
    /// As [`Self::serving`].
    pub async fn layout(&self, generation: Generation) -> Result<Option<Layout>, StoreError> {
        let key = Keys::new(&generation.key_prefix(&self.prefix)).layout();
        let text: Option<String> = self.get(&key).await?;
        let malformed = |cause: MalformedLayout| StoreError::Malformed { cause: cause.to_string() };
        text.map(|text| text.parse().map_err(malformed)).transpose()
    }

    /// Takes or renews the right to build the next generation; false when somebody else has it.
    ///
    /// # Errors
    /// As [`Self::serving`].
    pub async fn hold(&self, owner: &str, ttl: Duration) -> Result<bool, StoreError> {
        self.run(HOLD, &self.lease(), &[owner, &ttl.as_millis().to_string()]).await
    }

    /// Gives that right back.
    ///
    /// # Errors
    /// As [`Self::serving`]; it ends by itself then.
    pub async fn release(&self, owner: &str) -> Result<bool, StoreError> {
        self.run(RELEASE, &self.lease(), &[owner]).await
    }

    /// Says that the reader `name` answers from `generation`: counts for [`REPORT_TTL`].
    ///
    /// # Errors
    /// As [`Self::serving`].
    pub async fn report(&self, name: &str, generation: Generation) -> Result<(), StoreError> {
        self.run(REPORT, &self.readers(), &[name, &generation.to_string()]).await
    }

    /// What living readers answer from.
    ///
    /// # Errors
    /// As [`Self::serving`].
    pub async fn reported(&self) -> Result<Vec<Generation>, StoreError> {
        let ttl = REPORT_TTL.as_secs().to_string();
        let numbers: Vec<String> = self.run(REPORTED, &self.readers(), &[&ttl]).await?;
        numbers.iter().map(|text| parse(text)).collect()
    }

    async fn run<T: FromRedisValue>(
        &self,
        script: &str,
        key: &str,
        arguments: &[&str],
    ) -> Result<T, StoreError> {
        let mut call = cmd("EVAL");
        call.arg(script).arg(1).arg(key).arg(arguments);
        self.ask(key, &call).await
    }

    async fn get<T: FromRedisValue>(&self, key: &str) -> Result<T, StoreError> {
        self.ask(key, cmd("GET").arg(key)).await
    }

    async fn ask<T: FromRedisValue>(&self, key: &str, call: &Cmd) -> Result<T, StoreError> {
        let net = self.lines.net()?;
        let mut calls = Bundle::default();
        calls.to(net.seat_of(key)?).add_command(call.clone());
        let reply = self.lines.call(&net, calls, WAIT).await?.pop().unwrap_or(Value::Nil);
        from_redis_value(reply).map_err(|cause| StoreError::Malformed { cause: cause.to_string() })
    }

    fn pointer(&self) -> String {
        format!("{}generation", self.prefix)
    }

    fn begun(&self) -> String {
        format!("{}building", self.prefix)
    }

    fn lease(&self) -> String {
        format!("{}rebuild", self.prefix)
    }

    fn readers(&self) -> String {
        format!("{}serving", self.prefix)
    }
}

fn parse(text: &str) -> Result<Generation, StoreError> {
    let malformed = |cause: NotAGeneration| StoreError::Malformed { cause: cause.to_string() };
    text.parse().map_err(malformed)
}
