"""A target that tells the truth: python objects.py DIRECTORY SCALE [edges] [freeze]"""

import gc
import sys

import truth
import zoo

held = zoo.build(int(sys.argv[2]))
if "freeze" in sys.argv[3:]:
    frozen = [[i] for i in range(500)]
    gc.freeze()
    thawed = [[i] for i in range(300)]
truth.hold(sys.argv[1], edges="edges" in sys.argv[3:])
