"""The miniature world as a bench: does an estimator judge the answer, or only the question?"""
