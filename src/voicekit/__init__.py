"""voicekit: latency-optimized speech clients."""
