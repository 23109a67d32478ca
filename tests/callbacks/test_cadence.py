from genexp.callbacks.cadence import crossed


def test_a_multiple_is_crossed_once():
    crossings = [now for now in range(128, 1281, 128) if crossed(now - 128, now, 300)]
    assert crossings == [384, 640, 1024, 1280]
    assert not crossed(300, 301, 300)
    assert crossed(299, 300, 300)
