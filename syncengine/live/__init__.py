"""Live sync: one stream per connection set and source side (architecture section 6)."""

from syncengine.live.stream import LiveSettings, LiveStream

__all__ = ["LiveSettings", "LiveStream"]
