"""Trains, validates, tests models and predicts with them: `train.py {fit,validate,test,predict} --config FILE`."""

from lit_generative.train import hide_absent_gpu, main

__all__ = ["main"]

if __name__ == "__main__":
    hide_absent_gpu()
    main()
