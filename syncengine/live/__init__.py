"""Live sync: one stream per connection set and source side (architecture section 6)."""

from syncengine.live.settings import LiveSettings
from syncengine.live.stream import LiveStream

__all__ = ["LiveSettings", "LiveStream"]
